import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.KeyStore;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

/**
 * Creates the certificates of secure clusters in a directory with the JDK's keytool: for each name {@code NAME.pem} and {@code
 * NAME-key.pem} for clients, and {@code NAME-store.pem} with both for brokers. With a path and a number of days, issues a
 * certificate for the user {@code CN=client} that is valid for so long.
 */
public final class Certificates {
    private static final String PASSWORD = "changeit";
    private static final String RSA = "RSA";
    private static final String EC = "EC";

    private final Path directory;

    private Certificates(Path directory) {
        this.directory = directory;
    }

    public static void main(String[] arguments) throws Exception {
        Certificates certificates = new Certificates(Path.of(arguments[0]));
        if (arguments.length > 1) {
            certificates.signed(arguments[1], "client", "ca", RSA, "-1d", 1 + Integer.parseInt(arguments[2]), "eku=clientAuth");
            return;
        }
        for (String authority : List.of("ca", "other-ca")) {
            certificates.authority(authority, authority);
        }
        certificates.authority("renewed-ca", "ca");
        certificates.signed("broker", "ca", RSA, "-3650d", 7300, "san=dns:localhost,ip:127.0.0.1");
        certificates.signed("elsewhere", "ca", EC, "-3650d", 7300, "san=dns:elsewhere.example");
        certificates.signed("expired", "ca", EC, "-3650d", 3600, "san=dns:localhost,ip:127.0.0.1");
        certificates.signed("early", "ca", EC, "+3650d", 3650, "san=dns:localhost,ip:127.0.0.1");
        certificates.signedByItself("itself", "san=dns:localhost,ip:127.0.0.1");
        // Java writes an elliptic curve key without the public key, which some clients refuse.
        certificates.signed("client", "ca", RSA, "-3650d", 7300, "eku=clientAuth");
        certificates.signed("stranger", "other-ca", RSA, "-3650d", 7300, "eku=clientAuth");
    }

    private void authority(String name, String subject) throws Exception {
        makeKey(name, subject, EC, "-startdate", "-3650d", "-validity", "7300", "-ext", "bc:c=ca:true", "-ext", "ku:c=keyCertSign");
        write(name, certificate(name));
    }

    /** A CA certificate, as OpenSSL creates by default. */
    private void signedByItself(String name, String extension) throws Exception {
        makeKey(name, name, EC, "-startdate", "-3650d", "-validity", "7300", "-ext", "bc:c=ca:true", "-ext", extension);
        write(name, certificate(name));
        write(name + "-store", key(name) + certificate(name));
    }

    private void signed(String name, String authority, String algorithm, String start, int days, String extension)
        throws Exception {
        signed(name, name, authority, algorithm, start, days, extension);
    }

    private void signed(
        String name, String subject, String authority, String algorithm, String start, int days, String extension)
        throws Exception {
        makeKey(name, subject, algorithm);
        Path request = directory.resolve(name + ".csr");
        Path certificate = directory.resolve(name + ".pem");
        keytool(name, "-certreq", "-alias", name, "-file", request.toString());
        keytool(authority, "-gencert", "-rfc", "-alias", authority, "-infile", request.toString(), "-outfile",
            certificate.toString(), "-startdate", start, "-validity", String.valueOf(days), "-ext", extension);
        write(name + "-key", key(name));
        write(name + "-store", key(name) + Files.readString(certificate));
    }

    private String key(String name) throws Exception {
        return encode("PRIVATE KEY", store(name).getKey(name, PASSWORD.toCharArray()).getEncoded());
    }

    private String certificate(String name) throws Exception {
        return encode("CERTIFICATE", store(name).getCertificate(name).getEncoded());
    }

    private void makeKey(String name, String subject, String algorithm, String... more) throws Exception {
        List<String> arguments = new ArrayList<>(List.of("-genkeypair", "-alias", name, "-dname", "CN=" + subject, "-keyalg", algorithm));
        arguments.addAll(algorithm.equals(EC) ? List.of("-groupname", "secp256r1") : List.of("-keysize", "2048"));
        arguments.addAll(Arrays.asList(more));
        keytool(name, arguments.toArray(String[]::new));
    }

    private void keytool(String store, String... arguments) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
        // A short run: the second compiler does not pay.
        command.addAll(List.of("-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC"));
        command.addAll(Arrays.asList(arguments));
        command.addAll(List.of("-storetype", "PKCS12", "-storepass", PASSWORD, "-keystore", storePath(store).toString()));
        Process process = new ProcessBuilder(command).inheritIO().start();
        if (process.waitFor() != 0) {
            throw new IOException("failed: " + command);
        }
    }

    private KeyStore store(String name) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream input = Files.newInputStream(storePath(name))) {
            store.load(input, PASSWORD.toCharArray());
        }
        return store;
    }

    private Path storePath(String name) {
        return directory.resolve(name + ".p12");
    }

    private void write(String name, String pem) throws IOException {
        Path path = directory.resolve(name + ".pem");
        Files.writeString(path, pem);
        Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
    }

    private static String encode(String what, byte[] der) {
        String lines = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
        return "-----BEGIN " + what + "-----\n" + lines + "\n-----END " + what + "-----\n";
    }
}

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.interfaces.RSAPublicKey;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;

/**
 * Creates tokens for OAUTHBEARER in a directory: {@code jwks.json} with the public key that brokers validate them with, and for each
 * name {@code NAME.jwt}, signed with RS256.
 */
public final class Tokens {
    private static final Instant NOW = Instant.now();
    private static final Instant START = NOW.minus(Duration.ofDays(2));
    private static final Instant LATER = NOW.plus(Duration.ofDays(3650));
    private static final Instant PAST = NOW.minus(Duration.ofDays(1));

    private final Path directory;

    private Tokens(Path directory) {
        this.directory = directory;
    }

    public static void main(String[] arguments) throws Exception {
        Tokens tokens = new Tokens(Path.of(arguments[0]));
        KeyPair key = key();
        tokens.write("jwks.json", jwks((RSAPublicKey) key.getPublic()));
        tokens.write("valid.jwt", token(key.getPrivate(), "1", "kafka", LATER));
        tokens.write("renewed.jwt", token(key.getPrivate(), "2", "kafka", LATER));
        tokens.write("expired.jwt", token(key.getPrivate(), "3", "kafka", PAST));
        tokens.write("elsewhere.jwt", token(key.getPrivate(), "4", "another-service", LATER));
        tokens.write("stranger.jwt", token(key().getPrivate(), "5", "kafka", LATER));
    }

    private static KeyPair key() throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
        generator.initialize(2048);
        return generator.generateKeyPair();
    }

    private static String jwks(RSAPublicKey key) {
        return "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"testkit\",\"use\":\"sig\",\"alg\":\"RS256\",\"n\":\""
            + encode(unsigned(key.getModulus().toByteArray())) + "\",\"e\":\"" + encode(key.getPublicExponent().toByteArray())
            + "\"}]}";
    }

    private static String token(PrivateKey key, String id, String audience, Instant end) throws Exception {
        String header = "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"testkit\"}";
        String claims = "{\"iss\":\"https://issuer.example\",\"sub\":\"alice\",\"aud\":\"" + audience + "\",\"jti\":\"" + id
            + "\",\"iat\":" + START.getEpochSecond() + ",\"exp\":" + end.getEpochSecond() + "}";
        String signed = encode(header.getBytes(StandardCharsets.UTF_8)) + "." + encode(claims.getBytes(StandardCharsets.UTF_8));
        Signature signature = Signature.getInstance("SHA256withRSA");
        signature.initSign(key);
        signature.update(signed.getBytes(StandardCharsets.US_ASCII));
        return signed + "." + encode(signature.sign());
    }

    /** Java puts a zero in front of a number whose first bit is set. */
    private static byte[] unsigned(byte[] number) {
        return number[0] == 0 ? java.util.Arrays.copyOfRange(number, 1, number.length) : number;
    }

    private static String encode(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    private void write(String name, String text) throws Exception {
        Files.writeString(directory.resolve(name), text);
    }
}

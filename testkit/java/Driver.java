import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Serves the testkit: reads requests from standard input, executes them with Kafka's official client, and writes one response for
 * each to standard output.
 *
 * <p>A message in either direction is a list of fields: their number, then each one's length in bytes (-1: null) and its
 * bytes; numbers are 32 bits, big-endian. A request's first field is its name, a response's first field "ok" or "error".
 * The process ends immediately at the end of its input.
 */
public final class Driver {
    /** Greatest number of records that are buffered for the producer; then the testkit waits. */
    private static final int QUEUE_MESSAGES_MAX = 10_000;

    private final BlockingQueue<List<byte[]>> requests = new LinkedBlockingQueue<>(QUEUE_MESSAGES_MAX);

    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        DataOutputStream output = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
        // The output of libraries must not mix with the responses.
        System.setOut(System.err);
        new Driver().run(arguments[0], output);
    }

    private void run(String servers, DataOutputStream output) throws Exception {
        Thread reader = new Thread(this::read, "requests");
        reader.setDaemon(true);
        reader.start();
        Producers producers = new Producers(servers);
        Administration administration = new Administration(servers);
        while (true) {
            List<byte[]> request = requests.take();
            List<byte[]> response = new ArrayList<>();
            response.add(bytes("ok"));
            try {
                switch (text(request.get(0))) {
                    case "begin" -> producers.begin(text(request.get(1)), text(request.get(2)));
                    case "produce" ->
                        response.add(producers.produce(text(request.get(1)), text(request.get(2)), requests));
                    case "commit" -> producers.commit(text(request.get(1)));
                    case "abort" -> producers.abort(text(request.get(1)));
                    default -> administration.answer(request.stream().map(Driver::text).toList())
                        .forEach(field -> response.add(bytes(field)));
                }
            } catch (Exception exception) {
                response.clear();
                response.add(bytes("error"));
                response.add(bytes(cause(exception).toString()));
            }
            write(output, response);
        }
    }

    private static Throwable cause(Exception exception) {
        return exception instanceof ExecutionException && exception.getCause() != null ? exception.getCause() : exception;
    }

    private void read() {
        try {
            DataInputStream input = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
            while (true) {
                requests.put(read(input));
            }
        } catch (EOFException end) {
            Runtime.getRuntime().halt(0);
        } catch (IOException | InterruptedException exception) {
            exception.printStackTrace();
            Runtime.getRuntime().halt(1);
        }
    }

    private static List<byte[]> read(DataInputStream input) throws IOException {
        int count = input.readInt();
        List<byte[]> fields = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            int length = input.readInt();
            byte[] field = length < 0 ? null : new byte[length];
            if (field != null) {
                input.readFully(field);
            }
            fields.add(field);
        }
        return fields;
    }

    private static void write(DataOutputStream output, List<byte[]> fields) throws IOException {
        output.writeInt(fields.size());
        for (byte[] field : fields) {
            output.writeInt(field.length);
            output.write(field);
        }
        output.flush();
    }

    static String text(byte[] field) {
        return field == null ? null : new String(field, StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Produces records: one producer per configuration, and one per transactional id. */
final class Producers {
    private static final int POSITION_BYTES = Integer.BYTES + Long.BYTES;

    private final String servers;
    private final Map<String, KafkaProducer<byte[], byte[]>> plain = new HashMap<>();
    private final Map<String, KafkaProducer<byte[], byte[]>> transactional = new HashMap<>();

    Producers(String servers) {
        this.servers = servers;
    }

    /** Fences an earlier producer of the same id, which aborts its open transaction. */
    void begin(String id, String configuration) {
        KafkaProducer<byte[], byte[]> producer = create(configuration + "transactional.id=" + id + "\n");
        KafkaProducer<byte[], byte[]> earlier = transactional.put(id, producer);
        if (earlier != null) {
            earlier.close(Duration.ZERO);
        }
        producer.initTransactions();
        producer.beginTransaction();
    }

    void commit(String id) {
        transactional.get(id).commitTransaction();
    }

    void abort(String id) {
        transactional.get(id).abortTransaction();
    }

    /**
     * Sends the records that follow in the queue, up to a message of one field.
     *
     * @param producer "id ..." for an open transaction, else a configuration
     * @return partition and offset of each record
     */
    byte[] produce(String topic, String producer, BlockingQueue<List<byte[]>> records) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        Exception failure = null;
        KafkaProducer<byte[], byte[]> sender = null;
        try {
            sender = producer.startsWith("id ")
                ? transactional.get(producer.substring(3))
                : plain.computeIfAbsent(producer, this::create);
        } catch (Exception exception) {
            failure = exception;
        }
        // After a failure the rest of the request must be removed from the queue.
        for (List<byte[]> fields = records.take(); fields.size() > 1; fields = records.take()) {
            if (failure == null) {
                try {
                    sent.add(sender.send(record(topic, fields)));
                } catch (Exception exception) {
                    failure = exception;
                }
            }
        }
        if (failure != null) {
            throw failure;
        }
        sender.flush();
        ByteBuffer positions = ByteBuffer.allocate(sent.size() * POSITION_BYTES);
        for (Future<RecordMetadata> future : sent) {
            RecordMetadata metadata = future.get();
            positions.putInt(metadata.partition()).putLong(metadata.offset());
        }
        return positions.array();
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, List<byte[]> fields) {
        String partition = Driver.text(fields.get(0));
        String timestamp = Driver.text(fields.get(1));
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
            topic,
            partition == null ? null : Integer.valueOf(partition),
            timestamp == null ? null : Long.valueOf(timestamp),
            fields.get(2),
            fields.get(3));
        for (int i = 4; i + 1 < fields.size(); i += 2) {
            record.headers().add(Driver.text(fields.get(i)), fields.get(i + 1));
        }
        return record;
    }

    private KafkaProducer<byte[], byte[]> create(String configuration) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", servers);
        properties.put("max.block.ms", "30000");
        // With more, a producer on a slow machine can fail on a new topic with OutOfOrderSequenceException, and hang.
        properties.put("max.in.flight.requests.per.connection", "1");
        for (String line : configuration.split("\n")) {
            int equals = line.indexOf('=');
            if (equals > 0) {
                properties.put(line.substring(0, equals), line.substring(equals + 1));
            }
        }
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }
}

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.BufferSupplier;

/**
 * Writes the record batches in this folder with Kafka's client, and the records that it reads: a line per record in
 * .tsv, with offset, timestamp, key, value and headers, these in hexadecimal ("-" is null).
 *
 * java -cp 'jars/*' Generate.java, where jars/ holds org.apache.kafka:kafka-clients:4.3.1 and what it depends on
 */
public class Generate {
    static final long NOW = 1_700_000_000_000L;
    static final byte V1 = 1, V2 = 2;

    public static void main(String[] arguments) throws Exception {
        for (CompressionType type : CompressionType.values()) {
            write(type.name, "records", batch(type, TimestampType.CREATE_TIME, -1, 100, records()));
            writeBytes("events-" + type.name, batch(type, TimestampType.CREATE_TIME, -1, 0, events()));
            if (type != CompressionType.NONE) {
                writeBytes("large-" + type.name, batch(type, TimestampType.CREATE_TIME, -1, 0, large()));
            }
        }
        write("append-time", "append-time", batch(CompressionType.NONE, TimestampType.LOG_APPEND_TIME, -1, 7, records()));
        write("no-timestamp", "no-timestamp", batch(CompressionType.NONE, TimestampType.CREATE_TIME, -1, 0,
            List.of(new SimpleRecord(RecordBatch.NO_TIMESTAMP, "k".getBytes(), "v".getBytes()))));
        write("transactions", "transactions", transactions());
        write("compacted", "compacted", compacted());
        writeBytes("format-1", MemoryRecords.withRecords(V1, 0, Compression.NONE, TimestampType.CREATE_TIME,
            new SimpleRecord(NOW, "k".getBytes(), "v".getBytes())).buffer());
    }

    static List<SimpleRecord> records() {
        List<SimpleRecord> records = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            byte[] key = i % 5 == 0 ? null : i % 5 == 1 ? new byte[0] : ("key-" + i).getBytes(StandardCharsets.UTF_8);
            byte[] value = i % 7 == 0 ? null : i % 7 == 1 ? new byte[0]
                : ("{\"event_id\":\"opp_" + i + "\",\"name\":\"Büro № " + i + "\",\"stage\":\"won\",\"amount\":" + i * 1000 + "}")
                    .getBytes(StandardCharsets.UTF_8);
            Header[] headers = i % 4 != 0 ? new Header[0] : new Header[] {
                new RecordHeader("trace", ("t" + i).getBytes()), new RecordHeader("trace", ("u" + i).getBytes()),
                new RecordHeader("empty", new byte[0]), new RecordHeader("none", (byte[]) null)};
            records.add(new SimpleRecord(NOW + (i % 3 == 2 ? -i : i) * 1000L, key, value, headers));
        }
        return records;
    }

    /** As a busy topic has them; for benchmarks. */
    static List<SimpleRecord> events() {
        List<SimpleRecord> records = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            String id = "opp_%012d".formatted(i);
            String value = """
                {"event_id":"%s","name":"Northwind Traders: renewal %d","stage":"Proposal","amount":%d.%02d,"probability":%d,\
                "expected_close_date":"2025-%02d-%02d","account_id":"acc_%04d","owner_id":"usr_%03d","meta_data":{"source":"crm",\
                "last_modified":"2025-01-01T%02d:%02d:%02dZ","tags":["priority","emea"],"notes":null}}""".formatted(
                    id, i, i * 7919, i * 37 % 100, i % 101, i % 12 + 1, i % 28 + 1, i * 31 % 10_000, i * 17 % 300, i % 24, i % 60, i * 7 % 60);
            records.add(new SimpleRecord(NOW + i, id.getBytes(), value.getBytes()));
        }
        return records;
    }

    /** Values that span several blocks of every codec. */
    static List<SimpleRecord> large() {
        List<SimpleRecord> records = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            StringBuilder value = new StringBuilder();
            for (int line = 0; line < 10_000; line++) value.append("line ").append(line % (89 + i)).append('\n');
            records.add(new SimpleRecord(NOW + i, null, value.toString().getBytes()));
        }
        return records;
    }

    static ByteBuffer batch(CompressionType type, TimestampType timestamps, long producer, long offset, List<SimpleRecord> records) {
        ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
        MemoryRecordsBuilder builder = MemoryRecords.builder(buffer, V2, Compression.of(type).build(), timestamps, offset, NOW + 500,
            producer, (short) (producer < 0 ? -1 : 0), producer < 0 ? -1 : 0, producer >= 0, 5);
        for (SimpleRecord record : records) builder.append(record);
        return builder.build().buffer();
    }

    static List<SimpleRecord> named(String... values) {
        List<SimpleRecord> records = new ArrayList<>();
        for (String value : values) records.add(new SimpleRecord(NOW, null, value.getBytes()));
        return records;
    }

    static ByteBuffer marker(long producer, long offset, ControlRecordType type) {
        return MemoryRecords.withEndTransactionMarker(offset, NOW, 5, producer, (short) 0, new EndTransactionMarker(type, 0)).buffer();
    }

    /** Producer 7 aborts offsets 0, 1 and 5, then commits 8; producer 8 commits 2, 3 and 6; offset 10 is in no transaction. */
    static ByteBuffer transactions() {
        return concat(
            batch(CompressionType.NONE, TimestampType.CREATE_TIME, 7, 0, named("a0", "a1")),
            batch(CompressionType.GZIP, TimestampType.CREATE_TIME, 8, 2, named("c2", "c3")),
            marker(8, 4, ControlRecordType.COMMIT),
            batch(CompressionType.NONE, TimestampType.CREATE_TIME, 7, 5, named("a5")),
            batch(CompressionType.NONE, TimestampType.CREATE_TIME, 8, 6, named("c6")),
            marker(7, 7, ControlRecordType.ABORT),
            batch(CompressionType.NONE, TimestampType.CREATE_TIME, 7, 8, named("c8")),
            marker(7, 9, ControlRecordType.COMMIT),
            batch(CompressionType.NONE, TimestampType.CREATE_TIME, -1, 10, named("n10")),
            marker(8, 11, ControlRecordType.COMMIT));
    }

    /** What Kafka's log cleaner leaves of three batches: one with holes at both ends, one that is empty, one that is whole. */
    static ByteBuffer compacted() {
        MemoryRecords before = MemoryRecords.readableRecords(concat(
            batch(CompressionType.LZ4, TimestampType.CREATE_TIME, -1, 20, named("x20", "21", "x22", "23", "x24", "x25")),
            batch(CompressionType.NONE, TimestampType.CREATE_TIME, 9, 26, named("x26", "x27")),
            batch(CompressionType.NONE, TimestampType.CREATE_TIME, -1, 28, named("28"))));
        ByteBuffer after = ByteBuffer.allocate(1 << 16);
        before.filterTo(new MemoryRecords.RecordFilter(NOW, 1000) {
            @Override protected BatchRetentionResult checkBatchRetention(RecordBatch batch) {
                return new BatchRetentionResult(BatchRetention.RETAIN_EMPTY, false);
            }
            @Override protected boolean shouldRetainRecord(RecordBatch batch, Record record) {
                return record.value().get(record.value().position()) != 'x';
            }
        }, after, BufferSupplier.NO_CACHING);
        after.flip();
        return after;
    }

    static ByteBuffer concat(ByteBuffer... parts) {
        ByteBuffer all = ByteBuffer.allocate(1 << 20);
        for (ByteBuffer part : parts) all.put(part.duplicate());
        all.flip();
        return all;
    }

    static void write(String name, String expected, ByteBuffer batches) throws Exception {
        writeBytes(name, batches);
        StringBuilder lines = new StringBuilder();
        for (RecordBatch batch : MemoryRecords.readableRecords(batches.duplicate()).batches()) {
            if (batch.isControlBatch()) continue;
            for (Record record : batch) {
                lines.append(record.offset()).append('\t').append(record.timestamp()).append('\t')
                    .append(hex(record.key())).append('\t').append(hex(record.value())).append('\t');
                for (Header header : record.headers()) {
                    lines.append(HexFormat.of().formatHex(header.key().getBytes(StandardCharsets.UTF_8))).append('=')
                        .append(hex(header.value() == null ? null : ByteBuffer.wrap(header.value()))).append(';');
                }
                lines.append('\n');
            }
        }
        Files.writeString(Path.of(expected + ".tsv"), lines);
    }

    static void writeBytes(String name, ByteBuffer buffer) throws Exception {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        Files.write(Path.of(name + ".bin"), bytes);
    }

    static String hex(ByteBuffer buffer) {
        if (buffer == null) return "-";
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return HexFormat.of().formatHex(bytes);
    }
}

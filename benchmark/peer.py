"""What a small Python service would be: confluent-kafka (librdkafka) and sqlite3, in batches by executemany.

Reads to the ends that the partitions have at its start, commits, and ends. Called by the benchmark program, which also
gives the statements, so that they are the same for all.
"""

import json
import os
import sqlite3
import sys
from datetime import datetime, timezone

from confluent_kafka import Consumer, KafkaException, TopicPartition

BATCH_RECORDS = 5_000
TIMEOUT_SECONDS = 30
OPPORTUNITY = ("name", "stage", "amount", "probability", "expected_close_date")
PROJECT = ("name", "status", "start_date", "end_date", "budget")


def open_database(path, schema):
    connection = sqlite3.connect(path, isolation_level=None)
    with open(schema, encoding="utf-8") as file:
        connection.executescript(file.read())
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def assign(consumer, topic):
    """Reads every partition from its beginning; gives the end of each that is not empty."""
    partitions = consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].partitions
    ends = {}
    for partition in partitions:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_SECONDS)
        if end > 0:
            ends[partition] = end
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    return ends


def row(message, event, columns, now):
    meta_data = event.get("meta_data")
    last_modified = meta_data and meta_data.get("last_modified")
    return (
        event["event_id"],
        *(event.get(column) for column in columns),
        event.get("account_id"),
        event.get("owner_id"),
        meta_data and json.dumps(meta_data, separators=(",", ":"), ensure_ascii=False),
        last_modified and last_modified.removesuffix("Z") + ".000000000Z",
        None,
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        now,
    )


def store(connection, messages, statements):
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    opportunities, projects = [], []
    for message in messages:
        event = json.loads(message.value())
        if "stage" in event:
            opportunities.append(row(message, event, OPPORTUNITY, now))
        else:
            projects.append(row(message, event, PROJECT, now))
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(statements[0], opportunities)
    connection.executemany(statements[1], projects)
    connection.execute("COMMIT")


def main(servers, topic, database, schema):
    statements = (os.environ["UPSERT_OPPORTUNITIES"], os.environ["UPSERT_PROJECTS"])
    group = f"group-{os.getpid()}"
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False})
    ends = assign(consumer, topic)
    connection = open_database(database, schema)
    while ends:
        messages = consumer.consume(BATCH_RECORDS, timeout=1)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
        store(connection, messages, statements)
        offsets = {message.partition(): message.offset() + 1 for message in messages}
        if offsets:
            consumer.commit(offsets=[TopicPartition(topic, *at) for at in offsets.items()], asynchronous=False)
        ends = {partition: end for partition, end in ends.items() if offsets.get(partition, 0) < end}
    connection.close()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

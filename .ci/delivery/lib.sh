# shellcheck shell=bash
# Sourced by the delivery checks, from the root of the repository: a broker on loopback, events, and the rows that a database
# must have of them. The script that sources this sets `work`, the directory of the checks.
# shellcheck disable=SC2154,SC2034

. .ci/lib.sh

# Debian has `ip` outside a user's PATH.
PATH=$PATH:/usr/sbin:/sbin
target=$(uname -m)-unknown-linux-musl
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
binary=$target_dir/$target/release/enterprise-consumer
broker=127.0.0.1:19092

# check_static: the binary needs nothing but a kernel, and does not copy memory by musl's slow function: its `rep movsq` and
# the instruction after it are in no other one.
check_static() {
    local headers
    headers=$(readelf --program-headers --wide "$binary")
    ! grep -q INTERP <<< "$headers" || fail "$binary is not static: it needs an interpreter"
    ! LC_ALL=C grep -qaP '\xf3\x48\xa5\x83\xe2\x07' "$binary" || fail "$binary has musl's memcpy instead of musl-memory's"
    printf 'static, %d bytes: %s\n' "$(stat -c %s "$binary")" "$("$binary" --version)"
}

# find_kafka_libs: the newest Kafka of the tests, which download it once. Not by `cargo run`, which would wait for other builds.
find_kafka_libs() {
    "$target_dir/debug/testkit" fetch
    KAFKA_LIBS=$(find "$target_dir/testkit" -maxdepth 1 -name 'kafka-*' | sort -V | tail -1)
    [ -n "$KAFKA_LIBS" ] || fail "no Kafka in $target_dir/testkit"
    export KAFKA_LIBS
}

# kafka NAME ARGUMENTS...: one of Kafka's own programs.
kafka() {
    "$work/kafka/bin/$1" "${@:2}"
}

# start_broker: on $broker, with the topic of the service's default settings.
start_broker() {
    mkdir -p "$work/kafka/bin"
    local name
    for name in server kafka-topics.sh kafka-console-producer.sh; do
        cp .ci/delivery/kafka/tool "$work/kafka/bin/$name"
    done
    env KAFKA_NODE_ID=1 KAFKA_PROCESS_ROLES=broker,controller KAFKA_CONTROLLER_QUORUM_VOTERS=1@127.0.0.1:19093 \
        KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER \
        KAFKA_LISTENERS="PLAINTEXT://$broker,CONTROLLER://127.0.0.1:19093" \
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT \
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1 KAFKA_LOG_DIRS="$work/kafka/data" KAFKA_HEAP_OPTS=-Xmx256m \
        "$work/kafka/bin/server" > "$work/kafka.log" 2>&1 &
    printf '%s\n' "$!" > "$work/kafka.pid"
    wait_until 60 "a broker listens on $broker" broker_listens
    kafka kafka-topics.sh --bootstrap-server "$broker" --create --topic sales_events --partitions 3 2>> "$work/kafka.log"
    produce 1
}

broker_listens() {
    : < "/dev/tcp/${broker/:/\/}"
}

# events LOT: 200 opportunities, 100 projects and 2 broken ones, none of which another lot has.
events() {
    local i
    for ((i = 0; i < 200; i++)); do
        printf '{"event_id":"opp_%d_%d","name":"Größe %d","stage":"won","amount":%d.5}\n' "$1" "$i" "$i" "$i"
        ((i % 2)) || printf '{"event_id":"proj_%d_%d","name":"Project","status":"active"}\n' "$1" "$i"
        ((i % 100)) || printf 'not json, lot %d, %d\n' "$1" "$i"
    done
}

# produce LOT
produce() {
    events "$1" | kafka kafka-console-producer.sh --bootstrap-server "$broker" --topic sales_events 2>> "$work/kafka.log"
}

# rows DATABASE: as opportunities, projects and unidentified messages.
rows() {
    sqlite3 "file:$1?mode=ro" "SELECT (SELECT count(*) FROM opportunities), (SELECT count(*) FROM projects),
        (SELECT count(*) FROM unidentified_messages)"
}

# has_lots DATABASE LOTS: whether it holds these lots, each event once.
has_lots() {
    [ "$(rows "$1")" = "$((200 * $2))|$((100 * $2))|$((2 * $2))" ]
}

# wait_for_lots DATABASE LOTS
wait_for_lots() {
    wait_until 60 "$2 lot(s) of events are in the database" has_lots "$1" "$2"
}

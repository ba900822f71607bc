# shellcheck shell=bash
# Sourced by the checks that need Docker: an engine of our own, with the stand-ins for the public images in it.
# The script that sources this sets `work`, the directory of the checks.
# shellcheck disable=SC2154

# Debian's client builds with BuildKit by itself; one of Docker's own needs a plug-in for it.
docker_cli=docker
[ ! -x /usr/bin/docker ] || docker_cli=/usr/bin/docker

docker() {
    "$docker_cli" "$@"
}

# start_docker: all its files are below $work, and it ends with the process namespace.
start_docker() {
    export DOCKER_HOST=unix://$work/docker.sock DOCKER_BUILDKIT=1
    dockerd --host "$DOCKER_HOST" --data-root "$work/docker" --exec-root "$work/docker-run" --pidfile "$work/docker.pid" \
        > "$work/dockerd.log" 2>&1 &
    wait_until 60 "a Docker engine of our own" docker info
}

# image_of SERVICE: its name in docker-compose.yml.
image_of() {
    compose config | awk -v service="  $1:" '$0 == service { found = 1 } found && $1 == "image:" { print $2; exit }'
}

# compose ARGUMENTS...: version 2 where it is there, else Debian's 1.29.
compose() {
    if docker compose version > /dev/null 2>&1; then
        docker compose --project-name delivery "$@"
    else
        docker-compose --project-name delivery "$@"
    fi
}

# load_builder: the small Debian, under the name that the Dockerfile gives to its builder.
load_builder() {
    local name
    name=$(sed -n 's/^ARG BUILDER_IMAGE=//p' Dockerfile)
    tar -C "$work/debian" --one-file-system -c . | docker import \
        -c 'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        -c 'ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true' \
        - "$name"
}

# load_kafka: the same with the tests' Kafka, under the name that docker-compose.yml gives to its broker.
load_kafka() {
    local version=${KAFKA_LIBS##*/kafka-}
    [ "$(image_of kafka)" = "apache/kafka:$version" ] || fail "docker-compose.yml does not have Kafka $version, as the tests"
    mkdir -p "$work/kafka-image"
    cp -r "$KAFKA_LIBS" "$work/kafka-image/libs"
    cp -r "$work/kafka/bin" "$work/kafka-image/bin"
    docker build --quiet --tag "$(image_of kafka)" --file .ci/delivery/kafka/Dockerfile \
        --build-arg BASE="$(sed -n 's/^ARG BUILDER_IMAGE=//p' Dockerfile)" "$work/kafka-image"
}

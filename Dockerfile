# The service as a static binary in an otherwise empty image:
#
#     docker build -t enterprise-consumer .
#     docker run -e KAFKA_BOOTSTRAP_SERVERS=broker:9092 -v data:/data -v logs:/logs enterprise-consumer
#
# The image has no certificate authorities: for TLS, mount a PEM file with them and name it in KAFKA_SSL_CA_LOCATION.
#
# On x86-64 and on arm64, for the machine that builds. Neither cache mounts nor TARGETARCH, so that the classic builder
# builds it as well as BuildKit.

# Any Debian or Ubuntu image with rustup and the version of rust-toolchain.toml (which stays outside, see .dockerignore).
ARG BUILDER_IMAGE=rust:1.95-bookworm

FROM ${BUILDER_IMAGE} AS builder
# make, musl-tools: SQLite, jemalloc and parts of ring are C and are compiled against musl's headers.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make musl-tools \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /build

# The dependencies alone, against empty crates of our own: this layer is built again only when a manifest changes.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY fuzzkit/Cargo.toml fuzzkit/
COPY kafka/Cargo.toml kafka/
COPY testkit/Cargo.toml testkit/
COPY musl-memory musl-memory
RUN mkdir src benches fuzzkit/src kafka/src testkit/src \
    && touch src/lib.rs benches/stages.rs fuzzkit/src/lib.rs kafka/src/lib.rs testkit/src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs > testkit/src/main.rs \
    && cargo build --release --locked --package enterprise-consumer --target "$(uname -m)-unknown-linux-musl"

# Then our own crates. COPY keeps the modification times of the files, which may be older than the build above, so touch them.
COPY schema.sql ./
COPY kafka/src kafka/src
COPY src src
RUN touch src/lib.rs src/main.rs kafka/src/lib.rs \
    && cargo build --release --locked --package enterprise-consumer --target "$(uname -m)-unknown-linux-musl" \
    && mkdir -p /image/bin /image/volumes/data /image/volumes/logs \
    && cp "target/$(uname -m)-unknown-linux-musl/release/enterprise-consumer" /image/bin/

FROM scratch
LABEL org.opencontainers.image.title="enterprise-consumer" \
      org.opencontainers.image.description="Reads enterprise events from Apache Kafka and stores them in SQLite, exactly once per database" \
      org.opencontainers.image.licenses="MIT"
COPY --from=builder /image/bin/enterprise-consumer /enterprise-consumer
# A new named volume takes its owner from the directory in the image.
COPY --from=builder --chown=65532:65532 /image/volumes/ /
USER 65532:65532
WORKDIR /data
ENV APP_ENV=production \
    HTTP_LISTEN=127.0.0.1:9464 \
    DATABASE_URL=sqlite:////data/enterprise.db \
    LOG_FILE=/logs/consumer.log \
    UNIDENTIFIED_LOG_FILE=/logs/unidentified_messages.log
VOLUME ["/data", "/logs"]
STOPSIGNAL SIGTERM
# Unhealthy is a thread that hangs, and nothing else: no broker, a locked database or a full disk are retried, and a restart would not
# cure them.
HEALTHCHECK --interval=30s --timeout=3s --start-period=30s --retries=3 CMD ["/enterprise-consumer", "health"]
ENTRYPOINT ["/enterprise-consumer"]
CMD ["run"]

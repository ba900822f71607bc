//! A broker that throttles a client ([KIP-219](https://cwiki.apache.org/confluence/display/KAFKA/KIP-219)): it responds at once, with the
//! throttle time, and reads no request until then. A request that is sent sooner exceeds the request timeout.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::support::{Reader, addresses};
use kafka::{Consumer, TopicPartition};
use testkit::{ProduceOptions, Record, unique};

/// Quotas count over eleven seconds: two fetches are twice as much as is allowed in them, and the third has to wait for as long.
const QUOTA_BYTES: u32 = 40_000;
const FETCH_BYTES: u32 = 450_000;
/// Much less than that, much more than a response takes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

#[test]
fn no_fetch_is_sent_during_the_throttle_time() {
    for version in testkit::VERSIONS {
        let cluster = testkit::shared(version).unwrap();
        let kafka = cluster.client().unwrap();
        let topic = unique("throttled");
        kafka.create_topic(&topic, 1, &[]).unwrap();
        kafka.set_client_quota(&topic, "consumer_byte_rate", QUOTA_BYTES).unwrap();
        let options = ProduceOptions::default().batch_bytes(50_000);
        let record = |n: u8| Record::value(vec![b'a' + n % 26; 10_000]);
        let count = 3 * FETCH_BYTES / 10_000;
        kafka.produce(&topic, &options, (0..count).map(|n| record(n.to_be_bytes()[3]))).unwrap();
        let builder = Consumer::from_hosts(addresses(&cluster.bootstrap_servers()))
            .with_topic(topic.as_str())
            .with_group(topic.as_str())
            .with_client_id(topic.as_str())
            .with_fetch_max_bytes(NonZeroU32::new(FETCH_BYTES).unwrap())
            .with_request_timeout(REQUEST_TIMEOUT);
        let mut reader = Reader::new(builder);
        reader.until_position(&TopicPartition::new(topic.as_str(), 0), count.into());
        let failures: Vec<String> = reader.retried.iter().map(|retrying| retrying.error.to_string()).collect();
        assert!(failures.iter().all(|error| !error.contains("Fetch within")), "{failures:?}");
    }
}

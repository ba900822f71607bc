//! Hosts that drop packets, unreachable addresses, and connections that are closed: what the service does and logs.

use std::net::TcpListener;
use std::time::Duration;

use testkit::BlackHole;

use crate::support::batches::Batch;
use crate::support::fake_broker::{Answer, Api, FakeBroker, Log};
use crate::support::idle_proxy::IdleProxy;
use crate::support::process::{Installation, WAIT_MAX, wait_until};

const TOPIC: &str = "connections";

/// The offset of the only broker's port in the fake's metadata response.
const PORT_IN_METADATA: usize = 27;
const PORT_IN_FIND_COORDINATOR: usize = 27;

fn broker() -> FakeBroker {
    let event = r#"{"event_id":"opp_1","name":"n","stage":"won","amount":1}"#;
    FakeBroker::start(TOPIC, Log { batches: vec![(1, Batch::of(0, &[event]).encode())], end_offset: 1 })
}

/// Makes the broker advertise this port.
fn advertise(broker: &FakeBroker, port: u16) {
    for (api, at) in [(Api::Metadata, PORT_IN_METADATA), (Api::FindCoordinator, PORT_IN_FIND_COORDINATOR)] {
        broker.misbehave(api, move |mut answer| {
            answer[at..at + 4].copy_from_slice(&i32::from(port).to_be_bytes());
            Answer::Response(answer)
        });
    }
}

/// A port without a server.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn messages(installation: &Installation, level: &str) -> Vec<String> {
    let lines = installation.log().into_iter().filter(|line| line["level"] == level);
    lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_bootstrap_server_that_drops_packets_does_not_delay_the_start() {
    let (hole, broker) = (BlackHole::open().unwrap(), broker());
    let installation = Installation::new(&format!("{},{}", hole.address(), broker.address()), TOPIC);
    installation.run_to_end();
    assert_eq!(installation.stored(), 1);
    assert_eq!(messages(&installation, "WARN"), [""; 0]);
    let slow = format!("connection to broker {} is not ready yet, waiting for the TCP connection", hole.address());
    let lines: Vec<String> = messages(&installation, "INFO").into_iter().filter(|text| text.contains(&slow)).collect();
    assert_eq!(lines, [format!("{slow}; trying broker {} too", broker.address())], "once for all connections");
}

#[test]
fn an_unreachable_advertised_address_is_logged_with_its_origin() {
    let broker = broker();
    let dead = dead_port();
    advertise(&broker, dead);
    let installation = Installation::new(&broker.address(), TOPIC);
    let mut service = installation.start(&["run"]);
    let origin = format!(
        "cannot connect to broker 127.0.0.1:{dead} (from advertised.listeners of broker 1, learnt from bootstrap server {})",
        broker.address()
    );
    let parts = [origin.as_str(), "not from KAFKA_BOOTSTRAP_SERVERS", "set advertised.listeners"];
    installation.wait_warning(0, &parts);
    let checked = installation.ask(&["check"]);
    assert_eq!(checked.code, Some(1));
    let line = checked.stdout.lines().find(|line| line.starts_with("topic")).unwrap();
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    broker.behave();
    installation
        .wait_for("the event", |installation| installation.number("SELECT count(*) FROM opportunities") == Some(1));
    service.signal("TERM");
    service.ends_with(0);
}

#[test]
fn check_names_the_failure_of_every_bootstrap_server() {
    let servers = [dead_port(), dead_port()].map(|port| format!("127.0.0.1:{port}"));
    let installation = Installation::new(&servers.join(","), TOPIC);
    let checked = installation.ask(&["check"]);
    assert_eq!(checked.code, Some(1));
    let line = checked.stdout.lines().find(|line| line.starts_with("brokers")).unwrap();
    for server in servers {
        assert!(line.contains(&format!("cannot connect to broker {server}: Connection refused")), "{line}");
    }
}

#[test]
fn closed_idle_connections_cause_no_warning() {
    let broker = broker();
    let proxy = IdleProxy::start(&broker.address(), Duration::from_secs(2));
    advertise(&broker, proxy.port());
    let mut installation = Installation::new(&format!("127.0.0.1:{}", proxy.port()), TOPIC);
    // A heartbeat every 3 s.
    installation.set("KAFKA_GROUP_PROTOCOL", "classic").set("KAFKA_SESSION_TIMEOUT_MS", "9000");
    let mut service = installation.start(&["run"]);
    // The last heartbeats are sent on closed connections first, then on new ones.
    wait_until("cut connections", WAIT_MAX, || proxy.cuts() >= 4);
    assert!(broker.wait_asked(Api::Heartbeat, 8, WAIT_MAX), "{}", installation.tail());
    assert_eq!(installation.stored(), 1);
    service.signal("TERM");
    service.ends_with(0);
    assert_eq!(messages(&installation, "WARN"), [""; 0]);
}

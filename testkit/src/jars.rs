//! Downloads one version of Kafka from Maven Central, and compiles the kit's Java driver against it. Both stay in the cache.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cache;
use crate::error::{Error, Result};
use crate::guard::Guarded;
use crate::java;

/// Longest download: 60 MB over a slow connection.
const DOWNLOAD_DEADLINE: Duration = Duration::from_mins(10);

/// Greatest number of attempts: Maven Central sometimes refuses a request.
const DOWNLOAD_ATTEMPTS_MAX: u32 = 3;

/// The ZooKeeper for brokers that need one.
const ZOOKEEPER: &str = "3.5.9";

/// The sources of the driver: name and text.
const DRIVER_SOURCES: [(&str, &str); 3] = [
    ("Driver.java", include_str!("../java/Driver.java")),
    ("Producers.java", include_str!("../java/Producers.java")),
    ("Administration.java", include_str!("../java/Administration.java")),
];

/// One Kafka on disk.
#[derive(Clone, Debug)]
pub(crate) struct Jars {
    version: String,
    directory: PathBuf,
}

impl Jars {
    /// Kafka of that version, such as `4.3.1`; downloaded if it is missing in the cache.
    pub(crate) fn of(version: &str) -> Result<Self> {
        if version.is_empty() || !version.chars().all(|c| c.is_ascii_digit() || c == '.') {
            return Err(Error::Usage(format!("'{version}' is not a version of Kafka; one is 4.3.1")));
        }
        java::toolchain()?;
        let directory = cache::directory(&format!("kafka-{version}"), |directory| download(version, directory))?;
        Ok(Self { version: version.to_owned(), directory })
    }

    /// Kafka's version.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether its brokers need ZooKeeper. Those of 2.8 and 3.x run without it here.
    pub(crate) fn needs_zookeeper(&self) -> bool {
        needs_zookeeper(&self.version)
    }

    /// The class path of Kafka's programs.
    pub(crate) fn class_path(&self) -> String {
        format!("{}/*", self.directory.display())
    }

    /// The class path with the driver, which is compiled if this version of it is missing in the cache.
    pub(crate) fn class_path_with_driver(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        DRIVER_SOURCES.hash(&mut hasher);
        let name = format!("driver-{}-{:016x}", self.version, hasher.finish());
        let classes = cache::directory(&name, |directory| compile(&self.class_path(), directory))?;
        Ok(format!("{}:{}", classes.display(), self.class_path()))
    }
}

fn needs_zookeeper(version: &str) -> bool {
    ["0.", "1.", "2."].iter().any(|major| version.starts_with(major))
}

/// The broker, its tools, and a logger that writes to standard error: the same for every version of Kafka, which bring
/// either Log4j or nothing. The ZooKeeper version works on Java 17, unlike that of
/// Kafka 2.1 to 2.3 (ZOOKEEPER-3779).
fn project(version: &str) -> String {
    const WITHOUT_LOGGERS: &str = "<exclusions>\
         <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion>\
         <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-log4j12</artifactId></exclusion></exclusions>";
    let dependency = |artifact: &str| {
        format!(
            "<dependency><groupId>org.apache.kafka</groupId><artifactId>{artifact}</artifactId><version>{version}</version>\
             {WITHOUT_LOGGERS}</dependency>"
        )
    };
    let (broker, zookeeper) = if needs_zookeeper(version) {
        let zookeeper = format!(
            "<dependency><groupId>org.apache.zookeeper</groupId><artifactId>zookeeper</artifactId>\
             <version>{ZOOKEEPER}</version>{WITHOUT_LOGGERS}</dependency>"
        );
        ("kafka_2.12", zookeeper)
    } else {
        ("kafka_2.13", String::new())
    };
    format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>testkit</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>{}{}{zookeeper}\
         <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>\
         </dependencies></project>",
        dependency(broker),
        dependency("kafka-tools"),
    )
}

fn download(version: &str, directory: &Path) -> Result<()> {
    let (pom, log) = (directory.join("pom.xml"), directory.join("maven.log"));
    fs::write(&pom, project(version)).map_err(Error::io(format!("write {}", pom.display())))?;
    let mut command = vec![java::toolchain()?.mvn.clone().into_os_string()];
    command.extend(["-B", "-ntp", "-f"].map(OsString::from));
    command.push(pom.into_os_string());
    command.push("dependency:copy-dependencies".into());
    let mut output = OsString::from("-DoutputDirectory=");
    output.push(directory);
    command.push(output);
    for attempt in 1.. {
        let file = File::create(&log).map_err(Error::io(format!("create {}", log.display())))?;
        let mut maven = Guarded::spawn(&command, &file).map_err(Error::io("run mvn"))?;
        let ended = maven.wait_until(Instant::now() + DOWNLOAD_DEADLINE).map_err(Error::io("wait for mvn"))?;
        match ended {
            Some(status) if status.success() => break,
            Some(_) if attempt < DOWNLOAD_ATTEMPTS_MAX => {}
            Some(_) => {
                let output = fs::read_to_string(&log).unwrap_or_default();
                let command = format!("mvn dependency:copy-dependencies (Kafka {version})");
                return Err(Error::Program { command, output });
            }
            None => {
                let what = format!("downloading Kafka {version}");
                return Err(Error::TimedOut { what, waited: DOWNLOAD_DEADLINE });
            }
        }
    }
    Ok(())
}

fn compile(class_path: &str, directory: &Path) -> Result<()> {
    let sources: Vec<PathBuf> = DRIVER_SOURCES.iter().map(|(name, _)| directory.join(name)).collect();
    for (path, (_, text)) in sources.iter().zip(DRIVER_SOURCES) {
        fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))?;
    }
    let output = Command::new(&java::toolchain()?.javac)
        .args(["-nowarn", "-cp", class_path, "-d"])
        .arg(directory)
        .args(&sources)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io("run javac"))?;
    if output.status.success() {
        Ok(())
    } else {
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::Program { command: "javac (the testkit's driver)".to_owned(), output })
    }
}

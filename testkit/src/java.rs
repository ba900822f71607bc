//! Finds Java and Maven, and builds Java command lines. Must not know brokers.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::error::{Error, Result};

/// Kafka's brokers need it since 4.0.
const JAVA_MIN: u32 = 17;

/// What to install, for every message about a missing program.
const INSTALL: &str = "install a JDK 17 or newer and Maven (Debian, Ubuntu: apt install openjdk-17-jdk-headless maven)";

/// The programs of a JDK and Maven.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// The virtual machine.
    pub(crate) java: PathBuf,
    /// The compiler.
    pub(crate) javac: PathBuf,
    /// Maven.
    pub(crate) mvn: PathBuf,
}

/// Looks them up once per process.
pub(crate) fn toolchain() -> Result<&'static Toolchain> {
    static FOUND: OnceLock<Result<Toolchain, String>> = OnceLock::new();
    FOUND.get_or_init(find).as_ref().map_err(|line| Error::Missing(line.clone()))
}

fn find() -> Result<Toolchain, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let mvn = look_up("mvn", &directories);
    // Maven uses the same variable.
    if let Some(home) = env::var_os("JAVA_HOME") {
        directories.insert(0, Path::new(&home).join("bin"));
    }
    let (java, javac) = (look_up("java", &directories), look_up("javac", &directories));
    let missing = [("java", &java), ("javac", &javac), ("mvn", &mvn)];
    let missing: Vec<&str> = missing.iter().filter(|(_, path)| path.is_none()).map(|(name, _)| *name).collect();
    let (Some(java), Some(javac), Some(mvn)) = (java, javac, mvn) else {
        return Err(format!("real Kafka brokers need {}, not found on PATH: {INSTALL}", missing.join(" and ")));
    };
    match java_version(&java) {
        Some(version) if version >= JAVA_MIN => Ok(Toolchain { java, javac, mvn }),
        Some(version) => Err(format!("{} is Java {version}, too old for Kafka: {INSTALL}", java.display())),
        None => Err(format!("{} does not tell its version ('java -version'): {INSTALL}", java.display())),
    }
}

fn look_up(program: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(program)).find(|path| path.is_file())
}

fn java_version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").stdin(Stdio::null()).output().ok()?;
    major_version(&String::from_utf8_lossy(&output.stderr))
}

/// From `openjdk version "17.0.15" 2025-04-15`; Java 8 calls itself `1.8`.
fn major_version(printed: &str) -> Option<u32> {
    let mut numbers = printed.split('"').nth(1)?.split(['.', '-', '+', '_']);
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

/// Limits of a Java program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Largest heap, in MiB.
    pub(crate) heap_mib_max: u32,
}

/// The beginning of a command line, to be followed by the class: quick to start, small, and without files in `/tmp` however the process
/// ends (native codec libraries are unpacked into `scratch`).
pub(crate) fn command(class_path: &str, scratch: &Path, limits: Limits) -> Result<Vec<OsString>> {
    let mut scratch_option = OsString::from("-Djava.io.tmpdir=");
    scratch_option.push(scratch);
    let mut command = vec![toolchain()?.java.clone().into_os_string(), scratch_option];
    command.extend(
        [
            &format!("-Xmx{}m", limits.heap_mib_max),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xshare:auto",
            "-XX:-UsePerfData",
            // Log lines go to standard error, with their time.
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
            "-cp",
            class_path,
        ]
        .map(OsString::from),
    );
    Ok(command)
}

/// Writes a single-file program to a directory and runs it with that directory as its argument.
pub(crate) fn write_and_run_source(name: &str, text: &str, directory: &Path) -> Result<()> {
    let source = directory.join(name);
    fs::write(&source, text).map_err(Error::io(format!("write {}", source.display())))?;
    run_source(name, directory, &[])
}

/// Runs a single-file program of a directory with that directory as its first argument, and with others.
pub(crate) fn run_source(name: &str, directory: &Path, others: &[&str]) -> Result<()> {
    let mut command = Command::new(&toolchain()?.java);
    let run = command.arg(directory.join(name)).arg(directory).args(others).stdin(Stdio::null()).output();
    let run = run.map_err(Error::io("run java"))?;
    if run.status.success() {
        return Ok(());
    }
    let output = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    Err(Error::Program { command: format!("java {name}"), output })
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn major_version_is_read_from_what_java_prints() {
        let check = |printed: &str, version: Option<u32>| assert_eq!(major_version(printed), version, "{printed}");
        check("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment", Some(17));
        check("openjdk version \"21\" 2023-09-19", Some(21));
        check("openjdk version \"24-ea\" 2025-03-18", Some(24));
        check("java version \"1.8.0_402\"", Some(8));
        check("no java here", None);
    }
}

//! The numbers of this process, from [`/proc`](https://man7.org/linux/man-pages/man5/proc.5.html), which the kernel keeps
//! in memory. What cannot be read is left out. Must not know who wants them.

use std::fs;
use std::time::Duration;

/// Clock ticks per second in `/proc`: `USER_HZ`, which is 100 on every platform of Linux that Rust supports
/// ([time(7)](https://man7.org/linux/man-pages/man7/time.7.html)).
const TICKS_PER_SECOND: u64 = 100;

/// Places of fields of `/proc/self/stat`, counted after the name of the program, which may have blanks.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const THREADS: usize = 17;

/// What the kernel knows of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// Its CPU time, of user and system.
    pub cpu: Option<Duration>,
    /// Its threads.
    pub threads: Option<u64>,
    /// Its resident memory.
    pub resident_bytes: Option<u64>,
    /// Its open file descriptors.
    pub open_files: Option<u64>,
    /// How many it may have (`ulimit -n`).
    pub files_max: Option<u64>,
}

impl Process {
    /// Reads the numbers now.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let open_files = fs::read_dir("/proc/self/fd").ok().and_then(|files| u64::try_from(files.count()).ok());
        Self { open_files, ..Self::parse(&stat, &status, &limits) }
    }

    fn parse(stat: &str, status: &str, limits: &str) -> Self {
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().collect();
        let field = |place: usize| fields.get(place)?.parse::<u64>().ok();
        let ticks = field(USER_TICKS).zip(field(SYSTEM_TICKS)).map(|(user, system)| user.saturating_add(system));
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident_kib = resident.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let files_max = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        Self {
            cpu: ticks.map(|ticks| Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND))),
            threads: field(THREADS),
            resident_bytes: resident_kib.map(|kib| kib.saturating_mul(1024)),
            open_files: None,
            files_max: files_max.and_then(|line| line.split_whitespace().next()?.parse().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_the_program_is_called() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 1 2 3 4 150 25 0 0 20 0 9 0 12345 6 7";
        let status = "Name:\ta\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 1048576              files\n";
        let Process { cpu, threads, resident_bytes, files_max, .. } = Process::parse(stat, status, limits);
        assert_eq!((cpu, threads), (Some(Duration::from_millis(1_750)), Some(9)));
        assert_eq!((resident_bytes, files_max), (Some(2 << 20), Some(1024)));
        let nothing = Process::parse("", "", "Max open files unlimited");
        assert!(nothing.cpu.is_none() && nothing.resident_bytes.is_none() && nothing.files_max.is_none());
    }

    #[test]
    fn this_process_has_numbers() {
        let Process { cpu, threads, resident_bytes, open_files, files_max } = Process::read();
        assert!(cpu.is_some() && threads >= Some(1) && resident_bytes > Some(1 << 20));
        assert!(open_files >= Some(3) && files_max > open_files);
    }
}

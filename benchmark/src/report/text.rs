//! The report as Markdown, which is also read well on a console.

use std::fmt::Write as _;

use super::goals::{self, Verdict};
use crate::broker::{BATCH_BYTES, LINGER_MS};
use crate::database::CACHE_KIB;
use crate::peers::STATEMENT_ROWS;
use crate::results::{Results, SetResult, Spread};

/// Who reads it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum For {
    Console,
    /// With plots, and with what one has to know to understand them.
    Document,
}

/// The whole report.
pub fn report(results: &Results, reader: For) -> String {
    let mut sections = Vec::new();
    if reader == For::Document {
        sections.push(head(results));
    }
    sections.push(goals_table(results));
    sections.extend(comparisons(results));
    sections.extend(throughput(results, reader));
    sections.extend(latency(results, reader));
    sections.extend(start(results));
    sections.extend(idle(results));
    sections.extend(long(results, reader));
    sections.extend(profile(results));
    if reader == For::Document {
        sections.push(method());
    }
    let mut text = sections.join("\n");
    if reader == For::Console {
        text.insert(0, '\n');
    }
    text
}

fn head(results: &Results) -> String {
    let mut text =
        "# Benchmarks\n\nWritten by `./bench`, which measures all of this in one call; not edited by hand.\n"
            .to_owned();
    if results.quick {
        text += "\n**A quick look**, with few events and rounds: for the shape of things, not for their figures.\n";
    }
    text.push('\n');
    for (name, value) in &results.machine.facts {
        let _ = writeln!(text, "- {name}: {value}");
    }
    let _ = writeln!(text, "- Command: `{}`", results.commands.join("`, then `"));
    text
}

fn goals_table(results: &Results) -> String {
    let rows: Vec<Vec<String>> = goals::all(results)
        .into_iter()
        .map(|goal| {
            let verdict = match goal.verdict {
                Verdict::Reached => "reached".to_owned(),
                Verdict::NotReached => "**not reached**".to_owned(),
                Verdict::ReachedIn { measured, of } => format!("reached in {measured} of {of}"),
                Verdict::NotMeasured => "not measured".to_owned(),
            };
            vec![goal.what.to_owned(), goal.wanted, goal.measured.unwrap_or_default(), verdict]
        })
        .collect();
    format!(
        "## Goals\n\nWhere a goal holds for several data sets, the one that is furthest from it is named.\n\n{}",
        table(&["goal", "wanted", "measured", ""], &rows)
    )
}

fn comparisons(results: &Results) -> Option<String> {
    let cell = |compared: Option<goals::Compared>| match compared {
        Some(compared) if compared.is_reached => compared.figure,
        Some(compared) => format!("**{}**", compared.figure),
        None => "–".to_owned(),
    };
    let rows: Vec<Vec<String>> = goals::comparisons(results)
        .into_iter()
        .map(|comparison| std::iter::once(comparison.title).chain(comparison.figures.map(cell)).collect())
        .collect();
    let names = ["same tables, rows/s", "same tables, CPU", "narrow tables, rows/s", "narrow tables, CPU"];
    let wanted = goals::wanted_of_comparisons();
    let heads: Vec<String> = names.iter().zip(&wanted).map(|(name, wanted)| format!("{name} {wanted}")).collect();
    let titles: Vec<&str> = std::iter::once("data set").chain(heads.iter().map(String::as_str)).collect();
    (!rows.is_empty()).then(|| {
        format!(
            "## Against the peers, by data set\n\nThe static service divided by the fastest peer with the service's tables, and by the one with narrow tables: rows per\n\
             second, and CPU of a row. Bold: the goal is not reached.\n\n{}",
            table(&titles, &rows)
        )
    })
}

fn throughput(results: &Results, reader: For) -> Option<String> {
    if results.sets.is_empty() {
        return None;
    }
    let mut text = "## Throughput\n".to_owned();
    if reader == For::Document {
        text += "\nA process from its start to its end, on a new database: medians, in brackets the least and the most. The\n\
                 last column is the rate of the static service divided by that of the line.\n\n\
                 ![Throughput](benchmarks/throughput.svg)\n";
    }
    for set in &results.sets {
        let _ = write!(text, "\n### {}\n\n{}", title(set), set_table(set));
    }
    Some(text)
}

fn title(set: &SetResult) -> String {
    let mut letters = set.title.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{} ({} events of {} bytes)", letters.as_str(), grouped(set.events as f64), set.event_bytes)
}

fn set_table(set: &SetResult) -> String {
    let per_million = 1e6 / set.events as f64;
    let line = |result: &crate::results::PeerResult| {
        Some(vec![
            result.peer.title().to_owned(),
            spread(set.rate(result.peer)?, grouped),
            spread(set.cpu_per_million(result.peer)?, two),
            result.rss_mib().map_or_else(|| "–".to_owned(), |mib| format!("{mib:.1}")),
            spread(result.spread(|usage| usage.written_bytes as f64 / f64::from(1 << 20) * per_million)?, grouped),
            set.ratio(result.peer).map(two).unwrap_or_default(),
        ])
    };
    let rows: Vec<Vec<String>> = set.peers.iter().filter_map(line).collect();
    table(&["", "rows/s", "CPU s per 1 M", "peak MiB", "MiB written per 1 M", "service is"], &rows)
}

fn latency(results: &Results, reader: For) -> Option<String> {
    let rows: Vec<Vec<String>> = results
        .latency
        .iter()
        .map(|latency| {
            let at = |percent| latency.percentile(percent).map(two).unwrap_or_default();
            vec![grouped(latency.rate as f64), grouped(latency.sorted_us.len() as f64), at(50.0), at(99.0), at(100.0)]
        })
        .collect();
    let mut text = "## Latency\n\n".to_owned();
    if reader == For::Document {
        text += "From right before an event is sent (rdkafka, `linger.ms=0`, `max.in.flight=5`, all acknowledged) until another\n\
                 connection sees it in SQLite, looking every 0.2 ms.\n\n![Latency](benchmarks/latency.svg)\n\n";
    }
    (!rows.is_empty()).then(|| text + &table(&["events/s", "events", "median ms", "99 % ms", "most ms"], &rows))
}

fn start(results: &Results) -> Option<String> {
    let start = results.start.as_ref()?;
    let (service, broker) = (Spread::of(start.service_ms.clone())?, Spread::of(start.broker_ms.clone())?);
    let rows = [
        vec!["from start to the first stored row".to_owned(), spread(service, one)],
        vec!["the broker's own answers".to_owned(), spread(broker, one)],
        vec!["beyond those".to_owned(), one(service.median - broker.median)],
    ];
    Some(format!("## Start\n\n{}", table(&[&format!("{} starts", start.service_ms.len()), "ms"], &rows)))
}

fn idle(results: &Results) -> Option<String> {
    let row = |idle: &crate::results::Idle| {
        vec![idle.protocol.clone(), format!("{:.3}", idle.cpu_percent), one(idle.wake_ups_per_second)]
    };
    let rows: Vec<Vec<String>> = results.idle.iter().map(row).collect();
    (!rows.is_empty()).then(|| format!("## Idle\n\n{}", table(&["group protocol", "% of a core", "wake-ups/s"], &rows)))
}

fn long(results: &Results, reader: For) -> Option<String> {
    let first = results.long.first()?;
    let mut text = "## As the tables grow\n\n".to_owned();
    if reader == For::Document {
        text += "Rows a second over each step, in one run, no id twice.\n\n![Rows a second by rows](benchmarks/long.svg)\n\n";
    }
    let rows: Vec<Vec<String>> = (0..first.rates.len())
        .map(|step| {
            let upto = vec![grouped((step as u64 + 1) as f64 * first.step_events as f64)];
            let rates = results.long.iter().map(|long| long.rates.get(step).copied().map(grouped).unwrap_or_default());
            upto.into_iter().chain(rates).collect()
        })
        .collect();
    let titles: Vec<&str> = std::iter::once("up to row").chain(results.long.iter().map(|long| &*long.title)).collect();
    Some(text + &table(&titles, &rows))
}

fn profile(results: &Results) -> Option<String> {
    let profile = results.profile.as_ref()?;
    let per_million = 1e6 / profile.events as f64;
    let row = |name: &str, cpu, wall| vec![name.to_owned(), two(cpu * per_million), two(wall * per_million)];
    let mut rows: Vec<Vec<String>> =
        profile.stages.iter().map(|stage| row(&stage.name, stage.cpu_seconds, stage.wall_seconds)).collect();
    let (cpu, wall) = profile
        .stages
        .iter()
        .fold((0.0, 0.0), |(cpu, wall), stage| (cpu + stage.cpu_seconds, wall + stage.wall_seconds));
    rows.push(row("all together", cpu, wall));
    Some(format!(
        "## Stages\n\nThe main data set, a transaction at a time, one stage after the other in one thread, by the service's own functions;\n\
         storing is SQLite called as for SQLite alone, with a checkpoint every 20 transactions. Fetching is what a consumer that\n\
         drops its records takes beyond decompressing and reading them.\n\n{}",
        table(&["stage", "CPU s per 1 M", "s per 1 M"], &rows)
    ))
}

fn method() -> String {
    format!(
        "## How it is measured\n\n\
         - Topics are written by Kafka's own client, batches of up to {} KiB, `linger.ms={LINGER_MS}`, on a broker of the same\n  \
           machine, each event a function of its number. Each topic is read once before it counts.\n\
         - The service runs as `run --exit-at-end` with `KAFKA_GROUP_PROTOCOL=none` and all other settings as they come; its\n  \
           database must pass `verify` after each run. All others must store as many rows, and of each id the same event.\n\
         - rdkafka plain: serde into typed structs, the service's tables and upsert, WAL, `synchronous=NORMAL`, one prepared\n  \
           statement a row, 5,000 rows a transaction, offsets committed and waited for. Tuned: 20,000 rows a transaction, offsets\n  \
           committed without waiting, a thread that checkpoints every 20 ms, `fetch.queue.backoff.ms=5`,\n  \
           `queued.min.messages=200000`, `queued.max.messages.kbytes=131072`. Python: confluent-kafka, json, `executemany`.\n\
         - Narrow tables: the same program as the tuned one, with tables of twelve columns, one for each field of an event and of its\n  \
           `meta_data`, and a plain upsert: the event that arrives last wins. It stores no time of storage and no topic, partition or\n  \
           offset. It must store of each id the same event as the others, which is the last one in these data sets.\n\
         - SQLite alone stores decoded rows from memory by the service's upsert, {STATEMENT_ROWS} rows a statement, with the service's pragmas\n  \
           (a page cache of {} MiB) and a thread that checkpoints every 20 ms; only the storing counts. Goals compare with the fastest\n  \
           transaction size. Row by row: one row a statement, 5,000 rows a transaction.\n\
         - Other tools are not measured. faucet (`faucet-cli`), the closest one, asks for a newer Rust than this repository has. Redpanda\n  \
           Connect: its Go module as a whole is not under an open-source licence, and the framework that it builds on, `benthos`,\n  \
           connects neither to Kafka nor to SQL databases. Kafka Connect: the JDBC sinks of Confluent and Aiven only take records with\n  \
           a schema, which these have not, and the one of Debezium does not support SQLite.\n\
         - Everybody in turns, the disk synced before each; CPU (user and system), peak memory and written bytes are those of\n  \
           `getrusage` of the ended process.\n\
         - Start: a new database, 10,000 events waiting; seen by another connection. The broker's own answers are the same\n  \
           questions on new connections, asked by the service's client library without the service: metadata, group offsets, log\n  \
           offsets, one fetch. The commit that claims a partition counts as the service's own time.\n\
         - Idle: at the end of a topic, CPU and voluntary context switches of all threads by `/proc`.\n",
        BATCH_BYTES >> 10,
        CACHE_KIB >> 10
    )
}

fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([titles[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        format!("| {} |\n", padded.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(titles.to_vec());
    let dashes: Vec<String> = widths
        .iter()
        .enumerate()
        .map(
            |(column, &width)| {
                if column == 0 { "-".repeat(width.max(3)) } else { format!("{}:", "-".repeat(width.max(3) - 1)) }
            },
        )
        .collect();
    text += &line(dashes.iter().map(String::as_str).collect());
    for row in rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    text
}

fn spread(spread: Spread, figure: fn(f64) -> String) -> String {
    if spread.min >= spread.max {
        return figure(spread.median);
    }
    format!("{} ({}–{})", figure(spread.median), figure(spread.min), figure(spread.max))
}

fn one(figure: f64) -> String {
    format!("{figure:.1}")
}

fn two(figure: f64) -> String {
    format!("{figure:.2}")
}

/// A whole number, its digits in groups of three.
pub fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

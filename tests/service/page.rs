//! The status page in a real browser: its content, against `/status.json`; that it refreshes itself, executes nothing that comes from
//! records, violates no policy, and needs no script.

use serde_json::{Value, json};

use crate::support::browser::Browser;

/// A value that is not an event, and that would change the page if it were markup.
pub const HOSTILE: &str =
    "</pre></td><script>window.hostile = 1</script><img src=x onerror=\"window.hostile = 2\"><!-- \u{202e}&lt;";

/// How the page shows it.
const HOSTILE_SHOWN: &str =
    "</pre></td><script>window.hostile = 1</script><img src=x onerror=\"window.hostile = 2\"><!-- \\u{202e}&lt;";

/// The width of a small phone, in pixels.
const PHONE_WIDTH: u32 = 360;

/// Text of each cell of each row of a table.
const ROWS: &str = "const rows = id => [...document.querySelectorAll(`#${id} tbody tr`)]
    .map(row => [...row.cells].map(cell => cell.textContent));";

/// The page in a window.
pub struct Page {
    browser: Browser,
    url: String,
}

impl Page {
    pub fn open(address: &str) -> Self {
        let page = Self { browser: Browser::start(), url: format!("http://{address}/") };
        page.browser.open(&page.url);
        // A load would remove it.
        page.browser.evaluate("window.marked = true");
        page
    }

    /// The sentence about the state.
    pub fn state(&self) -> String {
        self.text("state")
    }

    /// Whether it was not loaded again.
    pub fn is_same_document(&self) -> bool {
        self.browser.evaluate("return window.marked === true") == true
    }

    /// Each number of `/status.json` is on the page. Nothing changes meanwhile.
    pub fn shows(&self, status: &Value) {
        let found = self.browser.evaluate(&format!(
            "{ROWS} return {{ partitions: rows('partitions'), outcomes: rows('throughput'),
             unidentified: rows('unidentified'), jumps: rows('jumps') }}"
        ));
        let partitions: Vec<Value> = objects(&status["partitions"]).map(partition_cells).collect();
        assert_eq!(found["partitions"], json!(partitions), "{status:#}");
        for outcome in ["applied", "stale", "unidentified", "absent"] {
            let row = find_row(&found["outcomes"], outcome);
            assert_eq!(row[2], status["offsets"][outcome].to_string(), "{row}");
        }
        for (table, counts) in [("unidentified", "unidentified"), ("jumps", "position_changes")] {
            for (reason, count) in status[counts].as_object().unwrap() {
                let row = find_row(&found[table], reason);
                assert_eq!(row[1], count.to_string(), "{row}");
                let latest = &status[format!("latest_{counts}")][reason];
                assert_eq!(latest.is_null(), *count == 0, "{reason}: {latest}");
                if !latest.is_null() {
                    let offset = if table == "jumps" { (5, "to_offset") } else { (4, "offset") };
                    let coordinates = (&row[2], &row[3], &row[offset.0]);
                    let text = |field: &str| json!(latest[field].to_string());
                    assert_eq!(coordinates, (&latest["topic"], &text("partition"), &text(offset.1)), "{row}");
                }
            }
        }
        let versions = self.text("versions");
        for field in ["version", "sqlite_version", "group_protocol", "isolation_level"] {
            assert!(versions.contains(status[field].as_str().unwrap()), "{field}: {versions}");
        }
    }

    /// The payload and the error of the hostile record are text.
    pub fn executes_no_payload(&self) {
        let payloads = "return [...document.querySelectorAll('.payload')].map(payload => payload.textContent)";
        let payloads = self.browser.evaluate(payloads);
        assert!(payloads.as_array().unwrap().contains(&HOSTILE_SHOWN.into()), "{payloads}");
        assert_eq!(self.browser.evaluate("return window.hostile ?? null"), Value::Null);
        let elements = "return document.querySelectorAll('main img, main script').length";
        assert_eq!(self.browser.evaluate(elements), 0);
    }

    /// Nothing but wide tables is wider than the window.
    pub fn fits_a_phone(&self) {
        let metrics = json!({ "width": PHONE_WIDTH, "height": 640, "deviceScaleFactor": 1, "mobile": true });
        self.browser.command("Emulation.setDeviceMetricsOverride", &metrics);
        assert_eq!(self.browser.evaluate("return document.documentElement.scrollWidth"), PHONE_WIDTH);
        self.browser.command("Emulation.clearDeviceMetricsOverride", &json!({}));
    }

    /// The browser has reported no error and no violation of the policy, and refuses a script that the page does not have.
    pub fn is_clean(&self) {
        assert_eq!(self.browser.console(), [""; 0]);
        let injected = "const script = document.createElement('script');
            script.textContent = 'window.injected = true';
            document.body.append(script);
            script.remove();
            return window.injected ?? null";
        assert_eq!(self.browser.evaluate(injected), Value::Null);
        let console = self.browser.console();
        assert!(console.iter().any(|entry| entry.contains("Content Security Policy")), "{console:?}");
    }

    /// Loaded without script, it has the same content.
    pub fn needs_no_script(&self, status: &Value) {
        self.browser.command("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
        self.browser.open(&self.url);
        assert_eq!(self.browser.evaluate("return typeof notice"), "object", "an element");
        assert_eq!(self.browser.evaluate("return typeof run"), "undefined", "the script was not executed");
        self.shows(status);
        self.executes_no_payload();
        self.browser.command("Emulation.setScriptExecutionDisabled", &json!({ "value": false }));
        self.browser.open(&self.url);
    }

    /// What it says while the service does not answer.
    pub fn notice(&self) -> String {
        let notice = "const notice = document.getElementById('notice'); return notice.hidden ? '' : notice.textContent";
        self.browser.evaluate(notice).as_str().unwrap().to_owned()
    }

    fn text(&self, id: &str) -> String {
        let text = self.browser.evaluate(&format!("return document.getElementById('{id}').textContent"));
        text.as_str().unwrap().to_owned()
    }
}

fn objects(array: &Value) -> impl Iterator<Item = &Value> {
    array.as_array().unwrap().iter()
}

/// What the page shows of a partition that is caught up.
fn partition_cells(partition: &Value) -> Value {
    assert_eq!((&partition["lag_records"], &partition["lag_ms"]), (&json!(0), &json!(0)), "{partition}");
    let text = |field: &str| partition[field].to_string();
    let offsets = ["next_offset", "committed_offset", "end_offset"].map(text);
    let [next, committed, end] = &offsets;
    json!([partition["topic"], text("partition"), "0", "0 s", "", next, committed, end, "yes"])
}

fn find_row<'a>(rows: &'a Value, name: &str) -> &'a Value {
    objects(rows).find(|row| row[0] == name).unwrap_or_else(|| panic!("no row '{name}' in {rows}"))
}

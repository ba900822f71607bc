//! Payloads at the limits of the message format and beyond them, each with its expected outcome.

/// The expected outcome of a payload.
pub enum Expected {
    /// Kept byte for byte, with this reason.
    Kept(&'static str),
    /// A row of this table with these columns, as JSON; `@` is the row's id.
    Stored(&'static str, &'static str),
}

pub struct Case {
    pub value: Option<Vec<u8>>,
    pub expected: Expected,
}

/// Nesting of arrays.
fn lists(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

/// A valid opportunity with additional fields; `@` is replaced by the case's number.
fn opportunity(more: &str) -> String {
    format!(r#"{{"event_id":"opp_@","name":"n","stage":"s"{more}}}"#)
}

fn project(more: &str) -> String {
    format!(r#"{{"event_id":"proj_@","name":"n","status":"s"{more}}}"#)
}

/// All cases; `@` in payload and columns is replaced by the case's number.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for (reason, values) in [
        ("empty", empty()),
        ("not_json", not_json()),
        ("unknown_type", unknown_type()),
        ("invalid_field", invalid_field()),
    ] {
        cases.extend(values.into_iter().map(|value| Case { value, expected: Expected::Kept(reason) }));
    }
    for (value, table, columns) in accepted() {
        cases.push(Case { value: Some(value.into_bytes()), expected: Expected::Stored(table, columns) });
    }
    cases
}

fn empty() -> Vec<Option<Vec<u8>>> {
    vec![None, Some(Vec::new())]
}

fn not_json() -> Vec<Option<Vec<u8>>> {
    let utf16: Vec<u8> = opportunity("").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bytes: Vec<Vec<u8>> = vec![
        b"\xff".into(),
        b"{\"event_id\":\"opp_1\",\"name\":\"caf\xe9\",\"stage\":\"s\"}".into(),
        b"{\"event_id\":\"opp_1\",\"name\":\"\xed\xa0\x80\",\"stage\":\"s\"}".into(),
        b"{\"event_id\":\"opp_1\",\"name\":\"\xc0\xaf\",\"stage\":\"s\"}".into(),
        utf16,
        [b"\xef\xbb\xbf\xef\xbb\xbf", opportunity("").as_bytes()].concat(),
        [b"\0\0\0\x07", opportunity("").as_bytes()].concat(),
        [b"\x01\0\0\0\x07", opportunity("").as_bytes()].concat(),
        b"\0\0\0\0\x07\x0aopp_1\x02n".into(),
        b"\0".into(),
        [opportunity("").as_bytes(), b"\0"].concat(),
        [opportunity("").as_bytes(), b"\xc2\xa0"].concat(),
        (0..=255).collect(),
    ];
    let whole = opportunity("");
    let texts = [
        " ".to_owned(),
        "hello".to_owned(),
        "{".to_owned(),
        whole[..whole.len() - 1].to_owned(),
        format!("{whole}}}"),
        format!("{whole}x"),
        format!("{whole}\n{whole}"),
        opportunity(","),
        opportunity(r#","amount":NaN"#),
        opportunity(r#","amount":Infinity"#),
        opportunity(r#","amount":-Infinity"#),
        opportunity(r#","amount":+1"#),
        opportunity(r#","amount":01"#),
        opportunity(r#","amount":.5"#),
        opportunity(r#","amount":5."#),
        opportunity(r#","amount":0x10"#),
        opportunity(r#","amount":1_000"#),
        opportunity(r#","amount":None"#),
        opportunity(r#","x":True"#),
        opportunity(r#","x":'y'"#),
        opportunity(r#","x":"\x41""#),
        opportunity(r#","x":"\u12""#),
        opportunity(",\"x\":\"line\nbreak\""),
        opportunity(",\"x\":1 // why"),
        "{'event_id':'opp_1','name':'n','stage':'s'}".to_owned(),
        "event_id=opp_1&name=n".to_owned(),
        "<event id=\"opp_1\"/>".to_owned(),
        "[".repeat(100_000),
        "{\"a\":".repeat(100_000),
        opportunity(&format!(",\"x\":{}", lists(128))),
        opportunity(&format!(",\"x\":{}", lists(100_000))),
        opportunity(&format!(",\"meta_data\":{{\"x\":{}}}", lists(127))),
        lists(129),
        format!("\"{}", "x".repeat(1 << 20)),
    ];
    bytes.into_iter().chain(texts.map(String::into_bytes)).map(Some).collect()
}

fn unknown_type() -> Vec<Option<Vec<u8>>> {
    let texts = [
        "null".to_owned(),
        "true".to_owned(),
        "5".to_owned(),
        "1e400".to_owned(),
        "\"opp_1\"".to_owned(),
        "[]".to_owned(),
        format!("[{}]", opportunity("")),
        lists(127),
        lists(128),
        "{}".to_owned(),
        r#"{"name":"n"}"#.to_owned(),
        r#"{"event_id":"acc_1","name":"n"}"#.to_owned(),
        r#"{"event_id":"OPP_1","name":"n"}"#.to_owned(),
        r#"{"event_id":5,"name":"n"}"#.to_owned(),
        r#"{"event_id":"1","name":"n","stage":"s","status":"t"}"#.to_owned(),
        r#"{"event_id":null,"name":"n","stage":"s","status":"t"}"#.to_owned(),
        r#"{"event_id":"1","name":"n","stage":null,"status":null}"#.to_owned(),
        format!(r#"{{"schema":1,"payload":{}}}"#, opportunity("")),
        r#"{"Stage":"s","EVENT_ID":"1","name":"n"}"#.to_owned(),
        format!("\"{}\"", "x".repeat(1 << 20)),
    ];
    texts.map(|text| Some(text.into_bytes())).into()
}

fn invalid_field() -> Vec<Option<Vec<u8>>> {
    let whole = [
        r#"{"name":"n","stage":"s"}"#,
        r#"{"event_id":null,"name":"n","stage":"s"}"#,
        r#"{"event_id":"","name":"n","stage":"s"}"#,
        r#"{"event_id":7,"name":"n","stage":"s"}"#,
        r#"{"event_id":["opp_1"],"name":"n","status":"s"}"#,
        r#"{"event_id":"opp_1","stage":"s"}"#,
        r#"{"event_id":"opp_1","name":null,"stage":"s"}"#,
        r#"{"event_id":"opp_1","name":"","stage":"s"}"#,
        r#"{"event_id":"opp_1","name":5,"stage":"s"}"#,
        r#"{"event_id":"opp_1","name":"\ud800","stage":"s"}"#,
        r#"{"event_id":"opp_1","name":"n","stage":""}"#,
        r#"{"event_id":"opp_1","name":"n","stage":5}"#,
        r#"{"event_id":"proj_1","name":"n","status":{}}"#,
        r#"{"event_id":"opp_1","name":"n"}"#,
        r#"{"event_id":"proj_1","name":"n","stage":null,"status":null}"#,
        r#"{"event_id":"opp_1","event_id":"opp_1","name":"n","stage":"s"}"#,
        r#"{"event_id":"opp_1","event_id":"proj_1","name":"n"}"#,
    ];
    let of_opportunity = [
        r#""amount":"5 EUR""#,
        r#""amount":"1,000.00""#,
        r#""amount":"NaN""#,
        r#""amount":true"#,
        r#""amount":{}"#,
        r#""amount":[1]"#,
        r#""amount":1e400"#,
        r#""amount":-1e400"#,
        r#""amount":1,"amount":1"#,
        r#""amount":1,"\u0061mount":null"#,
        r#""name":"again""#,
        r#""stage":"again""#,
        r#""probability":101"#,
        r#""probability":-1"#,
        r#""probability":75.5"#,
        r#""probability":0.5"#,
        r#""probability":"75%""#,
        r#""probability":18446744073709551616"#,
        r#""expected_close_date":"2024-02-30""#,
        r#""expected_close_date":"2023-02-29""#,
        r#""expected_close_date":"2024-13-01""#,
        r#""expected_close_date":"2024-00-10""#,
        r#""expected_close_date":"2024-1-1""#,
        r#""expected_close_date":"24-01-01""#,
        r#""expected_close_date":"2024-01-01T25:00:00Z""#,
        r#""expected_close_date":1704067200000"#,
        r#""expected_close_date":"\u0662\u0660\u0662\u0664-01-01""#,
        r#""expected_close_date":20240101"#,
        r#""account_id":5"#,
        r#""account_id":false"#,
        r#""owner_id":[]"#,
        r#""owner_id":"\udfff""#,
        r#""meta_data":"x""#,
        r#""meta_data":[]"#,
        r#""meta_data":5"#,
        r#""meta_data":{},"meta_data":{}"#,
        r#""meta_data":{"last_modified":"yesterday"}"#,
        r#""meta_data":{"last_modified":"2024-01-01"}"#,
        r#""meta_data":{"last_modified":"2024-02-30T00:00:00Z"}"#,
        r#""meta_data":{"last_modified":"2024-01-01T24:00:00Z"}"#,
        r#""meta_data":{"last_modified":20240101}"#,
        r#""meta_data":{"last_modified":0}"#,
        r#""meta_data":{"last_modified":null,"last_modified":null}"#,
    ];
    let of_project = [
        r#""start_date":"2024-02-30""#,
        r#""end_date":"2024-04-31""#,
        r#""end_date":1"#,
        r#""budget":"x""#,
        r#""budget":1e400"#,
        r#""budget":[]"#,
        r#""account_id":{}"#,
        r#""owner_id":0"#,
    ];
    let whole = whole.map(str::to_owned).into_iter();
    let more = of_opportunity.iter().map(|field| opportunity(&format!(",{field}")));
    let more = more.chain(of_project.iter().map(|field| project(&format!(",{field}"))));
    whole.chain(more).map(|text| Some(text.into_bytes())).collect()
}

/// Payload, table, columns. A name of more than a hundred letters is replaced by its length.
fn accepted() -> Vec<(String, &'static str, &'static str)> {
    let opportunities = [
        (
            opportunity(""),
            r#"{"name":"n","stage":"s","amount":null,"probability":null,"expected_close_date":null,"account_id":null,"owner_id":null,"meta_data":null,"last_modified":null,"extra":null}"#,
        ),
        (
            opportunity(
                r#","amount":null,"probability":null,"expected_close_date":null,"account_id":null,"owner_id":null,"meta_data":null"#,
            ),
            r#"{"amount":null,"meta_data":null,"extra":null}"#,
        ),
        (opportunity(r#","amount":0"#), r#"{"amount":0.0}"#),
        (opportunity(r#","amount":-0.0"#), r#"{"amount":0.0}"#),
        (opportunity(r#","amount":1e308"#), r#"{"amount":1e308}"#),
        (opportunity(r#","amount":-1.7976931348623157e308"#), r#"{"amount":-1.7976931348623157e308}"#),
        (opportunity(r#","amount":5e-324"#), r#"{"amount":5e-324}"#),
        (opportunity(r#","amount":1e-400"#), r#"{"amount":0.0}"#),
        (opportunity(r#","amount":0.1"#), r#"{"amount":0.1}"#),
        (opportunity(r#","probability":0"#), r#"{"probability":0}"#),
        (opportunity(r#","probability":100"#), r#"{"probability":100}"#),
        (opportunity(r#","expected_close_date":"2024-02-29""#), r#"{"expected_close_date":"2024-02-29"}"#),
        (opportunity(r#","expected_close_date":"0000-01-01""#), r#"{"expected_close_date":"0000-01-01"}"#),
        (opportunity(r#","expected_close_date":"9999-12-31""#), r#"{"expected_close_date":"9999-12-31"}"#),
        (opportunity(r#","account_id":"","owner_id":" ""#), r#"{"account_id":null,"owner_id":" "}"#),
        (
            opportunity(r#","b":1,"a":{"x":[1, 2]},"b":1e400,"c":"\ud800""#),
            r#"{"extra":"{\"b\":1,\"a\":{\"x\":[1, 2]},\"b\":1e400,\"c\":\"\\ud800\"}"}"#,
        ),
        (opportunity(r#","status":"t""#), r#"{"stage":"s","extra":"{\"status\":\"t\"}"}"#),
        (opportunity(r#","status":null"#), r#"{"stage":"s","extra":"{\"status\":null}"}"#),
        (opportunity(r#","":0,"Name":1"#), r#"{"name":"n","extra":"{\"\":0,\"Name\":1}"}"#),
        (
            opportunity(
                r#","meta_data":{ "source" : "crm", "tags":["a"], "last_modified":"2024-02-29T23:59:59.123456789+02:00" }"#,
            ),
            r#"{"last_modified":"2024-02-29T21:59:59.123456789Z","meta_data":"{ \"source\" : \"crm\", \"tags\":[\"a\"], \"last_modified\":\"2024-02-29T23:59:59.123456789+02:00\" }"}"#,
        ),
        (
            opportunity(r#","meta_data":{"last_modified":null,"notes":"\ud800"}"#),
            r#"{"last_modified":null,"meta_data":"{\"last_modified\":null,\"notes\":\"\\ud800\"}"}"#,
        ),
        (
            opportunity(r#","meta_data":{"last_modified":"2016-12-31T23:59:60Z"}"#),
            r#"{"last_modified":"2016-12-31T23:59:59.999999999Z"}"#,
        ),
        (
            opportunity(r#","meta_data":{"last_modified":"2024-01-01 00:00:00-00:00"}"#),
            r#"{"last_modified":"2024-01-01T00:00:00.000000000Z"}"#,
        ),
        (format!(" \t\r\n{}\n\n", opportunity("")), r#"{"name":"n"}"#),
        (
            r#"{"event_id":"opp_@","n\u0061me":"n","\u0073tage":"s"}"#.to_owned(),
            r#"{"name":"n","stage":"s","extra":null}"#,
        ),
        (
            r#"{"event_id":"opp_@","name":"a\u0000b","stage":"\u0000"}"#.to_owned(),
            r#"{"name":"a\u0000b","stage":"\u0000"}"#,
        ),
        (r#"{"event_id":"opp_@","name":"\ud83d\ude00 ünï","stage":"s"}"#.to_owned(), r#"{"name":"😀 ünï"}"#),
        (
            r#"{"event_id":"opp_@","name":"'); DROP TABLE opportunities; --","stage":"s"}"#.to_owned(),
            r#"{"name":"'); DROP TABLE opportunities; --"}"#,
        ),
        (format!(r#"{{"event_id":"opp_@","name":"{}","stage":"s"}}"#, "x".repeat(1 << 20)), r#"{"name":1048576}"#),
        (format!(r#"{{"event_id":"opp_@","name":"{}","stage":"s"}}"#, "\\u00e9".repeat(200_000)), r#"{"name":200000}"#),
        (opportunity(&format!(r#","x":"{}""#, "[".repeat(5000))), r#"{"name":"n"}"#),
        (opportunity(&format!(",\"x\":{}", lists(126))), r#"{"name":"n"}"#),
        (opportunity(&format!(",\"x\":{}", lists(127))), r#"{"name":"n"}"#),
        (opportunity(&format!(",\"meta_data\":{{\"x\":{}}}", lists(126))), r#"{"last_modified":null}"#),
        (opportunity(&format!(",\"x\":[{}[]]", "[],".repeat(5000))), r#"{"name":"n"}"#),
    ];
    let projects = [
        (project(""), r#"{"name":"n","status":"s","start_date":null,"end_date":null,"budget":null,"extra":null}"#),
        (
            project(r#","start_date":"2024-02-29","end_date":"2000-02-29","budget":-1.5"#),
            r#"{"start_date":"2024-02-29","end_date":"2000-02-29","budget":-1.5}"#,
        ),
        (
            project(r#","budget":"12345678901234567890","stage":"""#),
            r#"{"budget":1.2345678901234567e19,"budget_text":"12345678901234567890","status":"s"}"#,
        ),
        (project(r#","stage":"t""#), r#"{"status":"s","extra":"{\"stage\":\"t\"}"}"#),
        (
            project(r#","stage":null,"amount":"x","probability":1000"#),
            r#"{"status":"s","extra":"{\"stage\":null,\"amount\":\"x\",\"probability\":1000}"}"#,
        ),
        (r#"{"event_id":"opp_@","name":"n","status":"s"}"#.to_owned(), r#"{"event_id":"opp_@","status":"s"}"#),
        (r#"{"event_id":"@","name":"n","status":"s"}"#.to_owned(), r#"{"event_id":"@"}"#),
    ];
    let with_table = |table| move |(payload, columns)| (payload, table, columns);
    opportunities
        .into_iter()
        .chain(spellings())
        .map(with_table("opportunities"))
        .chain(projects.into_iter().map(with_table("projects")))
        .collect()
}

/// Values that are converted to the form of their columns.
fn spellings() -> Vec<(String, &'static str)> {
    vec![
        (opportunity(r#","amount":0.10"#), r#"{"amount":0.1,"amount_text":null}"#),
        (
            opportunity(r#","amount":9007199254740993"#),
            r#"{"amount":9007199254740992.0,"amount_text":"9007199254740993"}"#,
        ),
        (
            opportunity(r#","amount":12345678901234567890.123456789"#),
            r#"{"amount":1.2345678901234567e19,"amount_text":"12345678901234567890.123456789"}"#,
        ),
        (opportunity(r#","amount":"50000.00""#), r#"{"amount":50000.0,"amount_text":null}"#),
        (opportunity(r#","amount":"""#), r#"{"amount":null}"#),
        (opportunity(r#","probability":75.0"#), r#"{"probability":75}"#),
        (opportunity(r#","probability":"75""#), r#"{"probability":75}"#),
        (opportunity(r#","probability":1e1"#), r#"{"probability":10}"#),
        (
            opportunity(r#","expected_close_date":"2024-06-30T00:00:00+02:00""#),
            r#"{"expected_close_date":"2024-06-30"}"#,
        ),
        (
            opportunity(r#","meta_data":{"last_modified":"2024-03-24T20:40:35.000+0000"}"#),
            r#"{"last_modified":"2024-03-24T20:40:35.000000000Z","last_modified_sent":null}"#,
        ),
        (
            opportunity(r#","meta_data":{"last_modified":1711312835123}"#),
            r#"{"last_modified":"2024-03-24T20:40:35.123000000Z","meta_data":"{\"last_modified\":1711312835123}"}"#,
        ),
        (
            opportunity(r#","meta_data":{"last_modified":"9999-12-31T00:00:00Z"}"#),
            r#"{"last_modified_sent":"9999-12-31T00:00:00.000000000Z"}"#,
        ),
        (format!("\0\0\0\0\x07{}", opportunity("")), r#"{"name":"n"}"#),
        (format!("\u{feff}{}", opportunity("")), r#"{"name":"n"}"#),
    ]
}

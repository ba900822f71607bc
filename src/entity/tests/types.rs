//! The type of an object.

use super::*;

#[test]
fn which_type() {
    for other in ["null", "true", "12", "1e400", r#""text""#, r#""\ud800""#, "[]", r#"[{"stage":"s"}]"#] {
        check(other, unknown(&format!("{other} is not a JSON object")));
    }
    // One marker decides, whatever the prefix.
    check(r#"{"event_id":"proj_1","name":"n","stage":"s"}"#, Ok(opportunity(|event| event.event_id = "proj_1".into())));
    check(r#"{"event_id":"opp_1","name":"n","status":"s"}"#, Ok(project(|event| event.event_id = "opp_1".into())));
    check(r#"{"event_id":"7","name":"n","status":"s"}"#, Ok(project(|event| event.event_id = "7".into())));
    // A marker that is null does not count; it goes to `extra`.
    check(
        r#"{"event_id":"x","name":"n","stage":null,"status":"s","stage":null}"#,
        Ok(project(|event| {
            event.event_id = "x".into();
            event.extra = Some(r#"{"stage":null,"stage":null}"#.to_owned());
        })),
    );
    // Both markers: the prefix decides, and the other marker goes to `extra`.
    check(r#"{"event_id":"opp_1","name":"n","stage":"s","status":"t"}"#, Ok(extra(r#"{"status":"t"}"#)));
    check(
        r#"{"event_id":"proj_1","name":"n","stage":"t","status":"s"}"#,
        Ok(project(|event| event.extra = Some(r#"{"stage":"t"}"#.to_owned()))),
    );
    check(r#"{"event_id":"\u006fpp_1","name":"n","stage":"s","st\u0061tus":5}"#, Ok(extra(r#"{"st\u0061tus":5}"#)));
    // No marker: the prefix decides, and the marker is missing.
    check(r#"{"event_id":"opp_1","name":"n"}"#, invalid("stage is missing"));
    check(r#"{"event_id":"proj_","name":"n","stage":null,"status":null}"#, invalid("status is missing"));
    check(r#"{"event_id":"opp_1","event_id":"proj_1","name":"n"}"#, invalid("event_id is given more than once"));
    // Nothing decides.
    check("{}", unknown("none of stage, status is set, and event_id is missing"));
    let none =
        |id| format!("none of stage, status is set, and event_id is {id}, which begins with none of opp_, proj_");
    for id in ["null", "5", r#""OPP_1""#, r#""opp""#, r#"" opp_1""#, r#""""#, r#""opp_\ud800""#, r#"["opp_1"]"#] {
        check(format!(r#"{{"event_id":{id},"name":"n"}}"#), unknown(&none(id)));
    }
    check(
        r#"{"event_id":"x","stage":"s","status":"t"}"#,
        unknown(r#"more than one of stage, status is set, and event_id is "x", which begins with none of opp_, proj_"#),
    );
    check(r#"{"stage":1,"status":[]}"#, unknown("more than one of stage, status is set, and event_id is missing"));
}

//! The fields of a JSON object by name, each value as sent. Knows what "missing" and "more than once" mean; must not know event types, nor
//! JSON's grammar.

use std::borrow::Cow;

use super::json::{self, Json, Member, SyntaxError};
use super::name::{self, Name, Wanted};
use super::rejection::{Reason, Rejection};
use super::rules;

/// The capacity for the fields of an ordinary event, so that their list is allocated once.
const FIELDS_TYPICAL: usize = 16;

/// The JSON values that count as absent.
const NULL: &str = "null";
const EMPTY: &str = "\"\"";

/// The problem of a field of which there are two. Its error is about the second one.
pub(super) const REPEATED: &str = "is given more than once";

/// How many fields are listed: in memory, a field of five bytes takes ten times as much. Far more than in ordinary events.
const FIELDS_LISTED_MAX: usize = 10_000;

/// The fields of one JSON object that have not been taken yet, in the order sent.
pub(super) struct Fields<'a> {
    object: &'a str,
    list: List<'a>,
}

enum List<'a> {
    /// Every field, and how many of them have been taken.
    All { fields: Vec<Field<'a>>, taken: usize },
    /// There are too many to list: the object is parsed again for each call. The names of the fields that have been taken.
    TooLong { taken: Vec<String> },
}

#[derive(Clone, Copy)]
struct Field<'a> {
    name: Name<'a>,
    /// `None` if it has been taken.
    value: Option<Json<'a>>,
}

impl<'a> Field<'a> {
    #[inline]
    fn new(Member { name, value }: Member<'a>) -> Self {
        Self { name: Name::new(name), value: Some(value) }
    }
}

impl<'a> Fields<'a> {
    /// Parses one JSON object; `None` if the text is any other JSON value. The error says why the text is not JSON.
    pub(super) fn parse(text: &'a str) -> Result<Option<Self>, SyntaxError> {
        let mut list = Listing { fields: Vec::with_capacity(FIELDS_TYPICAL), is_too_long: false };
        let is_object = json::read_members(text, |member| list.add(member))?;
        Ok(is_object.then(|| Self { object: text, list: list.into_list() }))
    }

    /// Whether a field of this name is there with a value other than null.
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.find(Wanted::new(name), |value| value != NULL).is_some()
    }

    /// Whether a field of this name is there with a value other than null and the empty string.
    pub(super) fn is_filled(&self, name: &str) -> bool {
        self.find(Wanted::new(name), |value| !matches!(value, NULL | EMPTY)).is_some()
    }

    /// The value of the first field of this name.
    pub(super) fn first(&self, name: &str) -> Option<Json<'a>> {
        self.find(Wanted::new(name), |_| true)
    }

    /// Takes a text that must be set and not empty.
    #[inline]
    pub(super) fn required(&mut self, name: &str) -> Result<Cow<'a, str>, Rejection> {
        match self.take(Wanted::new(name))? {
            None => Err(invalid(name, "is missing")),
            Some(value) if value.text() == NULL => Err(invalid(name, "is missing")),
            Some(value) if value.text() == EMPTY => Err(invalid(name, "is empty")),
            Some(value) => rules::text(value).map_err(|problem| invalid(name, &problem)),
        }
    }

    /// Takes a field that may be absent, and applies a rule to its value. Null and the empty string count as absent: they can mean
    /// nothing else in a field that is not required.
    #[inline]
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        rule: impl FnOnce(Json<'a>) -> Result<T, String>,
    ) -> Result<Option<T>, Rejection> {
        let value = self.take(Wanted::new(name))?;
        apply(name, value, rule)
    }

    /// The fields that have not been taken, as a JSON object: names, values, order and repetitions as sent. `None` if there are none.
    pub(super) fn into_extra(self) -> Option<String> {
        if let List::All { fields, taken } = &self.list
            && fields.len() == *taken
        {
            return None;
        }
        let (mut count, mut length) = (0_usize, 0);
        self.for_each(|name, value| {
            count += 1;
            length += name.quoted().len() + value.text().len() + ":,".len();
        });
        if count == 0 {
            return None;
        }
        let mut json = String::with_capacity(length + "{}".len());
        self.for_each(|name, value| {
            let before = if json.is_empty() { "{" } else { "," };
            json.extend([before, name.quoted(), ":", value.text()]);
        });
        json.push('}');
        Some(json)
    }

    /// Takes a field. Two fields of one name are an error, since JSON readers disagree on which of them counts.
    fn take(&mut self, wanted: Wanted<'_>) -> Result<Option<Json<'a>>, Rejection> {
        match &mut self.list {
            List::All { fields, taken } => {
                let mut named = fields.iter_mut().filter(|field| field.name.is(wanted));
                let Some(first) = named.next() else { return Ok(None) };
                if named.next().is_some() {
                    return Err(repeated(wanted.name()));
                }
                *taken += 1;
                Ok(first.value.take())
            }
            List::TooLong { taken } => {
                let first = only_member(self.object, wanted.name())?;
                if first.is_some() {
                    taken.push(wanted.name().to_owned());
                }
                Ok(first)
            }
        }
    }

    /// Calls a function with each field that has not been taken.
    fn for_each(&self, mut each: impl FnMut(Name<'a>, Json<'a>)) {
        match &self.list {
            List::All { fields, .. } => {
                fields
                    .iter()
                    .filter_map(|field| Some((field.name, field.value?)))
                    .for_each(|(name, value)| each(name, value));
            }
            List::TooLong { taken } => read_again(self.object, |Member { name, value }| {
                if !taken.iter().any(|taken| name::is_text(name, taken)) {
                    each(Name::new(name), value);
                }
            }),
        }
    }

    /// The value of the first field of this name whose value is as wanted.
    fn find(&self, wanted: Wanted<'_>, is_wanted: impl Fn(&str) -> bool) -> Option<Json<'a>> {
        let matches = |name: Name<'a>, value: Json<'a>| name.is(wanted) && is_wanted(value.text());
        if let List::All { fields, .. } = &self.list {
            return fields.iter().find_map(|field| field.value.filter(|value| matches(field.name, *value)));
        }
        let mut found = None;
        self.for_each(|name, value| found = found.or_else(|| matches(name, value).then_some(value)));
        found
    }
}

/// Reads one field of a JSON object that is known to be valid, as [`Fields::optional`] does, without a list of the others.
pub(super) fn optional_member<'a, T>(
    object: &'a str,
    name: &str,
    rule: impl FnOnce(Json<'a>) -> Result<T, String>,
) -> Result<Option<T>, Rejection> {
    apply(name, only_member(object, name)?, rule)
}

/// Applies a rule to the value of a field, unless that counts as absent.
#[inline]
fn apply<'a, T>(
    name: &str,
    value: Option<Json<'a>>,
    rule: impl FnOnce(Json<'a>) -> Result<T, String>,
) -> Result<Option<T>, Rejection> {
    match value {
        None => Ok(None),
        Some(value) if matches!(value.text(), NULL | EMPTY) => Ok(None),
        Some(value) => rule(value).map(Some).map_err(|problem| invalid(name, &problem)),
    }
}

/// The value of the only field of this name in a valid object.
fn only_member<'a>(object: &'a str, wanted: &str) -> Result<Option<Json<'a>>, Rejection> {
    let (mut first, mut is_repeated) = (None, false);
    read_again(object, |Member { name, value }| {
        if name::is_text(name, wanted) {
            is_repeated |= first.is_some();
            first = first.or(Some(value));
        }
    });
    if is_repeated { Err(repeated(wanted)) } else { Ok(first) }
}

/// Calls a function with each member of an object that has been parsed before.
fn read_again<'a>(object: &'a str, each: impl FnMut(Member<'a>)) {
    let read = json::read_members(object, each);
    debug_assert!(read.is_ok(), "it has been parsed before");
}

/// The list of fields while an object is parsed.
struct Listing<'a> {
    fields: Vec<Field<'a>>,
    is_too_long: bool,
}

impl<'a> Listing<'a> {
    #[inline]
    fn add(&mut self, member: Member<'a>) {
        self.is_too_long |= self.fields.len() == FIELDS_LISTED_MAX;
        if !self.is_too_long {
            self.fields.push(Field::new(member));
        }
    }

    fn into_list(self) -> List<'a> {
        if self.is_too_long { List::TooLong { taken: Vec::new() } } else { List::All { fields: self.fields, taken: 0 } }
    }
}

fn invalid(name: &str, problem: &str) -> Rejection {
    Rejection::new(Reason::InvalidField, format!("{name} {problem}"))
}

fn repeated(name: &str) -> Rejection {
    invalid(name, REPEATED)
}

#[cfg(test)]
mod tests {
    use fuzzkit::within;

    use crate::entity::{Event, Reason, decode};

    /// An opportunity among very many fields of nothing.
    fn crowded(before: usize, after: usize, more: &str) -> String {
        let known = r#""event_id":"opp_1","n\u0061me":"n","stage":"s","amount":1"#;
        format!("{{{}{known}{more}{}}}", r#""":0,"#.repeat(before), r#","x":[ ]"#.repeat(after))
    }

    #[test]
    fn an_object_of_very_many_fields_is_read_as_any_other() {
        for (before, after) in [(0, 9_990), (9_990, 0), (0, 10_001), (10_001, 0), (6_000, 6_000)] {
            let value = crowded(before, after, "");
            let Ok(Event::Opportunity(event)) = decode(Some(value.as_bytes())) else { panic!("{before}, {after}") };
            assert_eq!((&*event.event_id, &*event.name, &*event.stage), ("opp_1", "n", "s"));
            let extra = [r#""":0"#].repeat(before).into_iter().chain([r#""x":[ ]"#].repeat(after));
            let extra = format!("{{{}}}", extra.collect::<Vec<_>>().join(","));
            assert!(event.extra == Some(extra), "{before}, {after}");
            let repeated = crowded(before, after, r#","stage":"again""#);
            let rejection = decode(Some(repeated.as_bytes())).unwrap_err();
            assert_eq!((rejection.reason, &*rejection.error), (Reason::InvalidField, "stage is given more than once"));
            let torn = &value[..value.len() - 1];
            assert_eq!(decode(Some(torn.as_bytes())).unwrap_err().reason, Reason::NotJson);
        }
    }

    #[test]
    fn very_many_fields_take_no_more_memory_than_they_were_sent_in() {
        // The list of the first ones, which grows by doubling.
        const LIST_BYTES: usize = 2 << 20;
        let value = crowded(100_000, 0, "");
        let event = within(value.len() + LIST_BYTES, || decode(Some(value.as_bytes())).map(drop));
        assert!(event.is_ok());
    }
}

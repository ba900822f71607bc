//! What each event type provides. Knows none of them.

use super::clock::LastModified;
use super::fields::Fields;
use super::rejection::Rejection;

/// An event type: how its events are recognized, read, and stored. The columns and their values are one list, made by [`columns`].
pub(super) trait EventType<'a>: Sized {
    /// The table of the events.
    const TABLE: &'static str;
    /// The field that only this type has.
    const MARKER: &'static str;
    /// What the `event_id`s of this type begin with.
    const ID_PREFIX: &'static str;
    /// The smallest event of the type. `check` stores it and rolls that back, so its `event_id` must not be one that a producer sends.
    const EXAMPLE: &'static str;
    /// The columns, the first of which is `event_id`. Every table has `kafka_topic`, `kafka_partition`, `kafka_offset`, `kafka_timestamp`,
    /// `created_at` and `updated_at` besides.
    const COLUMNS: &'static [Column];

    /// Reads the fields of an event. The fields that it does not know are `extra`.
    fn read(fields: Fields<'a>) -> Result<Self, Rejection>;

    /// The id of the event. The greatest event of an id is the one that is stored.
    fn event_id(&self) -> &str;

    /// The time that orders the events of an id, if the event has one.
    fn last_modified(&self) -> Option<&LastModified>;

    /// The same, to change it.
    fn last_modified_mut(&mut self) -> Option<&mut LastModified>;

    /// Binds the value of each column, in the order of [`COLUMNS`](Self::COLUMNS).
    fn bind<B: Bind>(&self, to: &mut B) -> Result<(), B::Error>;
}

/// A column of a table of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub column_type: ColumnType,
}

/// What a column holds. Every column may be NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A JSON object as text.
    Json,
    /// A double.
    Real,
    /// A whole number.
    Integer,
}

/// A value for a column; `None` for NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'v> {
    /// See [`ColumnType::Text`].
    Text(Option<&'v str>),
    /// See [`ColumnType::Json`].
    Json(Option<&'v str>),
    /// See [`ColumnType::Real`].
    Real(Option<f64>),
    /// See [`ColumnType::Integer`].
    Integer(Option<i64>),
}

/// Takes the values of an event, one column after the other.
pub trait Bind {
    /// Why a value was not taken.
    type Error;

    /// Takes the value of the next column.
    fn bind(&mut self, value: Value<'_>) -> Result<(), Self::Error>;
}

/// The columns of an event type with the value of each: `COLUMNS` and `bind` of [`EventType`].
macro_rules! columns {
    (|$event:ident| $($name:literal: $column_type:ident = $value:expr,)+) => {
        const COLUMNS: &'static [$crate::entity::event_type::Column] = &[$($crate::entity::event_type::Column {
            name: $name,
            column_type: $crate::entity::event_type::ColumnType::$column_type,
        }),+];

        #[inline]
        fn bind<B: $crate::entity::event_type::Bind>(&self, to: &mut B) -> Result<(), B::Error> {
            let $event = self;
            $(to.bind($crate::entity::event_type::Value::$column_type($value))?;)+
            Ok(())
        }
    };
}

pub(super) use columns;

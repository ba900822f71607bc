//! The registry of event types: the only place that lists them. An entry makes a type known to the decoder, to the tables and their
//! statements, to `status`, `verify`, `views` and `replay`.

use super::clock::LastModified;
use super::event_type::{Bind, Column, EventType};
use super::fields::Fields;
use super::opportunity::Opportunity;
use super::project::Project;
use super::rejection::Rejection;

/// Defines [`Event`], [`Kind`] and [`ByKind`].
macro_rules! event_types {
    ($($(#[$doc:meta])+ $name:ident: $type:ident,)+) => {
        /// A decoded event. Borrows from the record's value where the JSON needs no unescaping.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event<'a> {
            $($(#[$doc])+ $type($type<'a>),)+
        }

        impl<'a> Event<'a> {
            /// Its type.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$type(_) => Kind::$type,)+
                }
            }

            /// Its id.
            pub fn event_id(&self) -> &str {
                match self {
                    $(Self::$type(event) => event.event_id(),)+
                }
            }

            /// The time that orders the events of an id, if it has one.
            pub fn last_modified(&self) -> Option<&LastModified> {
                match self {
                    $(Self::$type(event) => event.last_modified(),)+
                }
            }

            pub(super) fn last_modified_mut(&mut self) -> Option<&mut LastModified> {
                match self {
                    $(Self::$type(event) => event.last_modified_mut(),)+
                }
            }

            /// Binds the value of each of its [columns](Kind::columns), in their order.
            pub fn bind<B: Bind>(&self, to: &mut B) -> Result<(), B::Error> {
                match self {
                    $(Self::$type(event) => event.bind(to),)+
                }
            }
        }

        /// An event type.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])+ $type,)+
        }

        impl Kind {
            /// Every type, in the order of reports.
            pub const ALL: [Self; [$(Self::$type),+].len()] = [$(Self::$type),+];

            /// The table of its events.
            pub fn table(self) -> &'static str {
                match self {
                    $(Self::$type => $type::TABLE,)+
                }
            }

            /// The field that only this type has.
            pub fn marker(self) -> &'static str {
                match self {
                    $(Self::$type => $type::MARKER,)+
                }
            }

            /// What the `event_id`s of this type begin with.
            pub fn id_prefix(self) -> &'static str {
                match self {
                    $(Self::$type => $type::ID_PREFIX,)+
                }
            }

            /// The smallest event of this type as JSON. Its `event_id` is not one that a producer sends.
            pub fn example(self) -> &'static str {
                match self {
                    $(Self::$type => $type::EXAMPLE,)+
                }
            }

            /// The columns of its table that hold the fields of its events. The first one is `event_id`.
            pub fn columns(self) -> &'static [Column] {
                match self {
                    $(Self::$type => $type::COLUMNS,)+
                }
            }

            /// Reads the fields of an event of this type.
            pub(super) fn read(self, fields: Fields<'_>) -> Result<Event<'_>, Rejection> {
                match self {
                    $(Self::$type => $type::read(fields).map(Event::$type),)+
                }
            }
        }

        /// A value for each event type.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct ByKind<T>([T; Kind::ALL.len()]);

        impl<T> ByKind<T> {
            /// Makes the value of each type.
            pub fn new(make: impl FnMut(Kind) -> T) -> Self {
                Self(Kind::ALL.map(make))
            }

            /// The value of a type.
            pub fn get(&self, kind: Kind) -> &T {
                let Self([$($name),+]) = self;
                match kind {
                    $(Kind::$type => $name,)+
                }
            }

            /// The same, to change it.
            pub fn get_mut(&mut self, kind: Kind) -> &mut T {
                let Self([$($name),+]) = self;
                match kind {
                    $(Kind::$type => $name,)+
                }
            }
        }
    };
}

event_types! {
    /// A sales opportunity.
    opportunity: Opportunity,
    /// A project.
    project: Project,
}

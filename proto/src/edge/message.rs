//! Declares a value and both its conversions from one list of fields.
//!
//! Shape   `message!` for a value with fields, `alone!` for a message that only wraps one value, `empty!` for messages
//!         without fields, `envelope!` for a request or answer that carries one of many commands.

/// A value for a message: `Value = module::Message { fields }`, named as prost names them. Messages with the same fields
/// may share a value: `Value = module => One, Other { fields }`. A value that stands in several fields, or means
/// something else than the one field says, comes behind a `;` as `name: Type = (field, field)`.
///
/// Both directions name every field of the message, so the compiler finds one that is forgotten.
macro_rules! message {
    ($(#[$about:meta])* $value:ident = $($module:ident)::+ => $($message:ident),+ { $($fields:tt)* }) => {
        $crate::edge::message::record! { $(#[$about])* $value { $($fields)* } }
        $crate::edge::message::converts! { $value = $($module)::+ => [$($message)+] { $($fields)* } }
    };
}

/// A value's type.
macro_rules! record {
    (
        $(#[$about:meta])*
        $value:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
            $(; $($(#[$group_doc:meta])* $group:ident: $group_type:ty = ($($part:ident),+),)+)?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "fields are those of the message, which says what they are")]
        pub struct $value {
            $($(#[$doc])* pub $field: $type,)*
            $($($(#[$group_doc])* pub $group: $group_type,)+)?
        }
    };
}
pub(crate) use record;

/// The conversions of a value, from and to each of some messages.
macro_rules! converts {
    ($value:ident = $($module:ident)::+ => [] $fields:tt) => {};
    ($value:ident = $($module:ident)::+ => [$message:ident $($others:ident)*] $fields:tt) => {
        $crate::edge::message::converts_one! { $value = $($module)::+ => $message $fields }
        $crate::edge::message::converts! { $value = $($module)::+ => [$($others)*] $fields }
    };
}
pub(crate) use converts;

macro_rules! converts_one {
    (
        $value:ident = $($module:ident)::+ => $message:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
            $(; $($(#[$group_doc:meta])* $group:ident: $group_type:ty = ($($part:ident),+),)+)?
        }
    ) => {
        impl TryFrom<$($module)::+::$message> for $value {
            type Error = $crate::WireError;

            #[allow(unused_variables, clippy::needless_update, reason = "some messages have no fields")]
            fn try_from(message: $($module)::+::$message) -> Result<$value, $crate::WireError> {
                let at = |field| {
                    $crate::edge::field::At::new(<$($module)::+::$message as $crate::Checked>::RULES, field)
                };
                let $($module)::+::$message { $($field,)* $($($($part,)+)+)? } = message;
                Ok($value {
                    $($field: $crate::edge::field::Field::read($field, at(stringify!($field)))?,)*
                    $($($group: $crate::edge::field::Field::read(
                        ($($part,)+),
                        at($crate::edge::message::first(&[$(stringify!($part)),+])),
                    )?,)+)?
                })
            }
        }

        impl From<$value> for $($module)::+::$message {
            fn from(value: $value) -> $($module)::+::$message {
                let $value { $($field,)* $($($group,)+)? } = value;
                $($(let ($($part,)+) = $crate::edge::field::Field::write($group);)+)?
                $($module)::+::$message {
                    $($field: $crate::edge::field::Field::write($field),)*
                    $($($($part,)+)+)?
                }
            }
        }

        $crate::edge::message::through_try_from!($value, $($module)::+::$message);
    };
}
pub(crate) use converts_one;

/// Lets a value that converts stand in another message's field.
macro_rules! through_try_from {
    ($value:ty, $message:ty) => {
        impl $crate::edge::field::Field<$message> for $value {
            fn read(wire: $message, _: $crate::edge::field::At) -> Result<Self, $crate::WireError> {
                wire.try_into()
            }

            fn write(self) -> $message {
                self.into()
            }
        }
    };
}
pub(crate) use through_try_from;

/// The field that errors name where several hold one value.
pub(crate) const fn first(parts: &[&'static str]) -> &'static str {
    parts[0]
}

/// Messages of one field, each of which is nothing but that field's value.
macro_rules! alone {
    ($module:ident; $($message:ident.$field:ident is $value:ty,)+) => {$(
        impl $crate::edge::field::Field<$module::$message> for $value {
            fn read(wire: $module::$message, _: $crate::edge::field::At) -> Result<Self, $crate::WireError> {
                let $module::$message { $field } = wire;
                let rules = <$module::$message as $crate::Checked>::RULES;
                $crate::edge::field::Field::read($field, $crate::edge::field::At::new(rules, stringify!($field)))
            }

            fn write(self) -> $module::$message {
                $module::$message { $field: $crate::edge::field::Field::write(self) }
            }
        }
    )+};
}

/// A message without fields. It says nothing, so nothing is lost where it is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty;

/// Messages without fields.
macro_rules! empty {
    ($module:ident; $($message:ident,)+) => {$(
        impl $crate::edge::field::Field<$module::$message> for $crate::edge::message::Empty {
            fn read(wire: $module::$message, _: $crate::edge::field::At) -> Result<Self, $crate::WireError> {
                let $module::$message {} = wire;
                Ok($crate::edge::message::Empty)
            }

            fn write(self) -> $module::$message {
                $module::$message {}
            }

            fn absent() -> Option<Self> {
                Some($crate::edge::message::Empty)
            }
        }
    )+};
}

/// Declares a request or answer whose `cmdType` names the one field that holds its arguments: the envelope's own fields,
/// then a line for each command. Arguments that are absent are an error; `opt` marks answers, where a failure has none.
///
/// Behind a second `;` stand commands of other shapes: `shared` ones take the field of a command above, `maybe` ones
/// have arguments that may be absent, `bare` ones have none.
macro_rules! envelope {
    (
        $(#[$about:meta])*
        $value:ident = $($module:ident)::+ => $message:ident
        $(#[$call_about:meta])*
        $call:ident by $by:ident: $kinds:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
            ;
            $($kind:ident => $payload:ident: $arguments:ty,)*
            $(;
                $(shared { $($shared:ident => $shared_payload:ident: $shared_arguments:ty,)+ })?
                $(maybe { $($maybe:ident => $maybe_payload:ident: $maybe_arguments:ty,)+ })?
                $(bare { $($bare:ident,)+ })?
            )?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "fields are those of the message, which says what they are")]
        pub struct $value {
            /// What is asked.
            pub call: $call,
            $($(#[$doc])* pub $field: $type,)*
        }

        $(#[$call_about])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "one is alive at a time, on its way through")]
        pub enum $call {
            $(#[doc = concat!("`", stringify!($kind), "`.")] $kind($arguments),)*
            $(
                $($(#[doc = concat!("`", stringify!($shared), "`.")] $shared($shared_arguments),)+)?
                $($(#[doc = concat!("`", stringify!($maybe), "`.")] $maybe(Option<$maybe_arguments>),)+)?
                $($(#[doc = concat!("`", stringify!($bare), "`.")] $bare,)+)?
            )?
        }

        impl $call {
            /// The command's name on the wire.
            pub fn kind(&self) -> $kinds {
                match self {
                    $($call::$kind(_) => $kinds::$kind,)*
                    $(
                        $($($call::$shared(_) => $kinds::$shared,)+)?
                        $($($call::$maybe(_) => $kinds::$maybe,)+)?
                        $($($call::$bare => $kinds::$bare,)+)?
                    )?
                }
            }
        }

        impl TryFrom<$($module)::+::$message> for $value {
            type Error = $crate::WireError;

            fn try_from(message: $($module)::+::$message) -> Result<$value, $crate::WireError> {
                let at = |field| {
                    $crate::edge::field::At::new(<$($module)::+::$message as $crate::Checked>::RULES, field)
                };
                let $($module)::+::$message {
                    $by, $($field,)* $($payload,)* $($($($maybe_payload,)+)?)?
                } = message;
                let call = match <$kinds as $crate::edge::field::Field<i32>>::read($by, at(stringify!($by)))? {
                    $($kinds::$kind => {
                        $call::$kind($crate::edge::field::arguments($payload, at(stringify!($payload)))?)
                    })*
                    $(
                        $($($kinds::$shared => $call::$shared(
                            $crate::edge::field::arguments($shared_payload, at(stringify!($shared_payload)))?,
                        ),)+)?
                        $($($kinds::$maybe => $call::$maybe(
                            $crate::edge::field::Field::read($maybe_payload, at(stringify!($maybe_payload)))?,
                        ),)+)?
                        $($($kinds::$bare => $call::$bare,)+)?
                    )?
                    #[allow(unreachable_patterns, reason = "some envelopes name every command")]
                    _ => return Err(at(stringify!($by)).unknown($by)),
                };
                Ok($value { call, $($field: $crate::edge::field::Field::read($field, at(stringify!($field)))?,)* })
            }
        }

        impl From<$value> for $($module)::+::$message {
            fn from(value: $value) -> $($module)::+::$message {
                let $value { call, $($field,)* } = value;
                let mut message = $($module)::+::$message {
                    $by: call.kind() as i32,
                    $($field: $crate::edge::field::Field::write($field),)*
                    ..Default::default()
                };
                match call {
                    $($call::$kind(arguments) => {
                        message.$payload = Some($crate::edge::field::Field::write(arguments));
                    })*
                    $(
                        $($($call::$shared(arguments) => {
                            message.$shared_payload = Some($crate::edge::field::Field::write(arguments));
                        })+)?
                        $($($call::$maybe(arguments) => {
                            message.$maybe_payload = $crate::edge::field::Field::write(arguments);
                        })+)?
                        $($($call::$bare => {})+)?
                    )?
                }
                message
            }
        }
    };
    (
        opt
        $(#[$about:meta])*
        $value:ident = $($module:ident)::+ => $message:ident
        $(#[$call_about:meta])*
        $call:ident by $by:ident: $kinds:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
            ;
            $($kind:ident => $payload:ident: $answer:ty,)*
            $(; shared { $($shared:ident => $shared_payload:ident: $shared_answer:ty,)+ })?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "fields are those of the message, which says what they are")]
        pub struct $value {
            /// The command that is answered.
            pub kind: $kinds,
            /// What was asked for; a failure has none.
            pub answer: Option<$call>,
            $($(#[$doc])* pub $field: $type,)*
        }

        $(#[$call_about])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "one is alive at a time, on its way through")]
        pub enum $call {
            $(#[doc = concat!("To `", stringify!($kind), "`.")] $kind($answer),)*
            $($(#[doc = concat!("To `", stringify!($shared), "`.")] $shared($shared_answer),)+)?
        }

        impl $value {
            /// What was asked for.
            ///
            /// # Errors
            /// [`WireError`](crate::WireError) if it is not there; it names the field that should hold it.
            pub fn answered(self) -> Result<$call, $crate::WireError> {
                let $value { kind, answer, .. } = self;
                answer.ok_or_else(|| {
                    let at = |field| {
                        $crate::edge::field::At::new(<$($module)::+::$message as $crate::Checked>::RULES, field)
                    };
                    match kind {
                        $($kinds::$kind => at(stringify!($payload)).missing(),)*
                        $($($kinds::$shared => at(stringify!($shared_payload)).missing(),)+)?
                        #[allow(unreachable_patterns, reason = "some envelopes name every command")]
                        _ => at(stringify!($by)).invalid("names a command that its status alone answers"),
                    }
                })
            }
        }

        impl TryFrom<$($module)::+::$message> for $value {
            type Error = $crate::WireError;

            fn try_from(message: $($module)::+::$message) -> Result<$value, $crate::WireError> {
                let at = |field| {
                    $crate::edge::field::At::new(<$($module)::+::$message as $crate::Checked>::RULES, field)
                };
                let $($module)::+::$message { $by, $($field,)* $($payload,)* } = message;
                let kind = <$kinds as $crate::edge::field::Field<i32>>::read($by, at(stringify!($by)))?;
                let answer = match kind {
                    $($kinds::$kind => {
                        let answer = $crate::edge::field::Field::read($payload, at(stringify!($payload)))?;
                        Option::map(answer, $call::$kind)
                    })*
                    $($($kinds::$shared => {
                        let at = at(stringify!($shared_payload));
                        Option::map($crate::edge::field::Field::read($shared_payload, at)?, $call::$shared)
                    })+)?
                    #[allow(unreachable_patterns, reason = "some envelopes name every command")]
                    _ => None,
                };
                Ok($value { kind, answer, $($field: $crate::edge::field::Field::read($field, at(stringify!($field)))?,)* })
            }
        }

        impl From<$value> for $($module)::+::$message {
            fn from(value: $value) -> $($module)::+::$message {
                let $value { kind, answer, $($field,)* } = value;
                let mut message = $($module)::+::$message {
                    $by: kind as i32,
                    $($field: $crate::edge::field::Field::write($field),)*
                    ..Default::default()
                };
                match answer {
                    $(Some($call::$kind(answer)) => {
                        message.$payload = Some($crate::edge::field::Field::write(answer));
                    })*
                    $($(Some($call::$shared(answer)) => {
                        message.$shared_payload = Some($crate::edge::field::Field::write(answer));
                    })+)?
                    None => {}
                }
                message
            }
        }
    };
}

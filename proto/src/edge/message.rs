//! Declares a value and both its conversions from one list of fields.

/// A value for a message: `Value = module::Message { fields }`, named as prost names them. A value that stands in several
/// fields, or means something else than the one field says, comes behind a `;` as `name: Type = (field, field)`.
///
/// Both directions name every field of the message, so the compiler finds one that is forgotten.
macro_rules! message {
    (
        $(#[$about:meta])*
        $value:ident = $($module:ident)::+ => $message:ident {
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

/// Declares a request or answer whose `cmdType` names the one field that holds its arguments: the envelope's own fields,
/// then a line for each command. Arguments that are absent are an error; `opt` marks answers, where a failure has none.
macro_rules! envelope {
    (
        $(#[$about:meta])*
        $value:ident = $($module:ident)::+ => $message:ident
        $(#[$call_about:meta])*
        $call:ident by $by:ident: $kinds:ident {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
            ;
            $($kind:ident => $payload:ident: $arguments:ty,)*
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
        }

        impl $call {
            /// The command's name on the wire.
            pub fn kind(&self) -> $kinds {
                match self {
                    $($call::$kind(_) => $kinds::$kind,)*
                }
            }
        }

        impl TryFrom<$($module)::+::$message> for $value {
            type Error = $crate::WireError;

            fn try_from(message: $($module)::+::$message) -> Result<$value, $crate::WireError> {
                let at = |field| {
                    $crate::edge::field::At::new(<$($module)::+::$message as $crate::Checked>::RULES, field)
                };
                let $($module)::+::$message { $by, $($field,)* $($payload,)* } = message;
                let call = match <$kinds as $crate::edge::field::Field<i32>>::read($by, at(stringify!($by)))? {
                    $($kinds::$kind => {
                        let arguments = $payload.ok_or_else(|| at(stringify!($payload)).missing())?;
                        $call::$kind($crate::edge::field::Field::read(arguments, at(stringify!($payload)))?)
                    })*
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
                    None => {}
                }
                message
            }
        }
    };
}

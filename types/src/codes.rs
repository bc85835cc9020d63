//! The shape that result codes and states share: a closed set of numbers and names, fixed by the wire.

/// Declares an enum with the numbers and names that the wire gives it.
macro_rules! codes {
    ($(#[$doc:meta])* $enum:ident { $($variant:ident = $number:literal, $name:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i32)]
        pub enum $enum {
            $(
                #[doc = concat!("`", $name, "`, ", stringify!($number), " on the wire.")]
                $variant = $number,
            )+
        }

        impl $enum {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [$enum] = &[$($enum::$variant),+];

            /// The number on the wire.
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The code with this number on the wire; `None` for numbers of newer releases and for none at all.
            pub const fn from_number(number: i32) -> Option<$enum> {
                match number {
                    $($number => Some($enum::$variant),)+
                    _ => None,
                }
            }

            /// The name on the wire and in Ozone's messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $($enum::$variant => $name,)+
                }
            }

            /// The code with this name.
            pub fn from_name(name: &str) -> Option<$enum> {
                match name {
                    $($name => Some($enum::$variant),)+
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
pub(crate) use codes;

#[cfg(test)]
mod tests {
    use crate::{Advice, DatanodeResult, OmStatus, ScmStatus};

    macro_rules! holds_together {
        ($enum:ident, $count:literal, $gaps:expr) => {
            assert_eq!($enum::ALL.len(), $count);
            let last = $enum::ALL.last().unwrap().number();
            for number in -1..=last + 1 {
                match $enum::from_number(number) {
                    Some(code) => {
                        assert_eq!(code.number(), number);
                        assert_eq!($enum::from_name(code.name()), Some(code));
                        assert_eq!(
                            code.advice() == Advice::Proceed,
                            code.is_success_or_already_so(),
                            "{code}"
                        );
                    }
                    None => assert!(number < 1 || number > last || $gaps.contains(&number), "{number}"),
                }
            }
        };
    }

    #[test]
    fn numbers_and_names_are_one_to_one_with_the_wires_gaps() {
        holds_together!(DatanodeResult, 48, [23]);
        holds_together!(OmStatus, 100, [22, 23, 51]);
        holds_together!(ScmStatus, 46, [28]);
    }

    #[test]
    fn the_codes_that_clients_act_on_say_what_to_do() {
        let table = [
            (DatanodeResult::Success, Advice::Proceed),
            (DatanodeResult::ContainerAlreadyExists, Advice::Proceed),
            (DatanodeResult::ClosedContainerIo, Advice::AllocateElsewhere),
            (DatanodeResult::DiskOutOfSpace, Advice::AllocateElsewhere),
            (DatanodeResult::NoSuchBlock, Advice::ReadElsewhere),
            (DatanodeResult::ChecksumMismatch, Advice::ReadElsewhere),
            (DatanodeResult::BlockTokenVerificationFailed, Advice::RefreshToken),
            (DatanodeResult::MalformedRequest, Advice::FixRequest),
        ];
        for (code, advice) in table {
            assert_eq!(code.advice(), advice, "{code}");
        }
        assert_eq!(OmStatus::ScmInSafeMode.advice(), Advice::RetryLater);
        assert_eq!(OmStatus::KeyNotFound.advice(), Advice::FixRequest);
        assert_eq!(ScmStatus::ScmNotLeader.advice(), Advice::AskLeader);
        assert_eq!(ScmStatus::SafeModeException.advice(), Advice::RetryLater);
    }
}

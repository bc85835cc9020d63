//! Is OM's answer one to the call, and does it hold what it must?
//!
//! Errors  [`Error::Refused`] with OM's status; [`Error::OmAnswer`] names the act, and the message and field that are wrong.

use std::error::Error as _;

use allotrope_proto::WireError;
use allotrope_proto::edge::om::OmResponse;
use allotrope_proto::om::Type;
use allotrope_types::{Advice, OmStatus};

use crate::error::Error;

/// The answer to a call of kind `asked`, if OM did what was asked; status `also` is taken for that, too.
pub(super) fn judged(
    act: &str,
    asked: Type,
    response: OmResponse,
    also: Option<OmStatus>,
) -> Result<OmResponse, Error> {
    let status = response.status;
    if status.advice() != Advice::Proceed && Some(status) != also {
        let message = response.message.unwrap_or_default();
        return Err(Error::Refused { act: act.to_owned(), status, message });
    }
    if response.kind != asked {
        let (asked, answered) = (asked.as_str_name(), response.kind.as_str_name());
        let why = format!("OMResponse.cmdType is {answered}, where {asked} was asked");
        return Err(Error::OmAnswer { act: act.to_owned(), why });
    }
    Ok(response)
}

/// A part of the answer that must be there: `field` of `message`, as the `.proto` files spell them.
pub(crate) fn part<T>(
    act: &str,
    part: Option<T>,
    message: &'static str,
    field: &'static str,
) -> Result<T, Error> {
    part.ok_or_else(|| unusable(act, &WireError::Missing { message, field }))
}

/// OM's answer is not what it should be; `why` with all its reasons.
pub(crate) fn unusable(act: &str, why: &WireError) -> Error {
    let mut text = why.to_string();
    let mut cause = why.source();
    while let Some(reason) = cause {
        text = format!("{text}: {reason}");
        cause = reason.source();
    }
    Error::OmAnswer { act: act.to_owned(), why: text }
}

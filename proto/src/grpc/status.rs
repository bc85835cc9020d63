//! Failures as statuses, and back.
//!
//! Shape   the status' text is `<Java class>: <message>`: a Java client makes an exception of it by that form.
//! Source  om.md 2: Ozone's own service says INTERNAL whatever was thrown; UNAVAILABLE makes its clients fail over,
//!         RESOURCE_EXHAUSTED and DATA_LOSS make them give up.

use tonic::{Code, Status};

use crate::rpc::{Fault, FaultKind, class};

/// Ozone's own service, whose clients expect INTERNAL.
const OZONE_SERVICE: &str = "/hadoop.ozone.";

/// Longest text; it travels in a header.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// The status that says `fault` to a client of `path`.
pub(crate) fn of_fault(fault: &Fault, path: &str) -> Status {
    let own = match fault.kind() {
        FaultKind::Application => Code::Internal,
        FaultKind::Malformed => Code::InvalidArgument,
        FaultKind::NoSuchMethod | FaultKind::NoSuchProtocol | FaultKind::VersionMismatch => {
            Code::Unimplemented
        }
        FaultKind::Overloaded => Code::Unavailable,
        FaultKind::DeadlineExceeded => Code::DeadlineExceeded,
        FaultKind::ResponseTooLarge => Code::ResourceExhausted,
        FaultKind::AccessDenied => Code::PermissionDenied,
    };
    let code = match own {
        // What the transport itself found keeps its code; what the service threw is INTERNAL to Ozone's clients.
        Code::InvalidArgument | Code::PermissionDenied if path.starts_with(OZONE_SERVICE) => Code::Internal,
        code => code,
    };
    let text = fault.to_string();
    Status::new(code, &text[..text.floor_char_boundary(TEXT_BYTES_MAX)])
}

/// Class and message of what a server threw. `None` if the status comes from the transport: nobody threw it.
pub(crate) fn exception(status: &Status) -> Option<(String, String)> {
    let text = status.message();
    if let Some((class, message)) = text.split_once(": ").or_else(|| text.split_once(':')) {
        let looks_like_a_class = class.contains('.')
            && class.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'$' | b'_'));
        if looks_like_a_class {
            return Some((class.to_owned(), message.to_owned()));
        }
    }
    let class = match status.code() {
        Code::Unimplemented => class::NO_SUCH_METHOD,
        Code::PermissionDenied | Code::Unauthenticated => class::ACCESS_CONTROL,
        Code::InvalidArgument | Code::ResourceExhausted | Code::OutOfRange => class::INVALID_PROTOBUF,
        _ => return None,
    };
    Some((class.to_owned(), text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ozones_clients_are_told_is_internal_with_class_and_message() {
        let fault = Fault::not_leader("OM:om1 is not the leader. Suggested leader is OM:om2[h:1].");
        let status = of_fault(&fault, "/hadoop.ozone.OzoneManagerService/submitRequest");
        assert_eq!(status.code(), Code::Internal);
        assert_eq!(
            status.message(),
            "org.apache.hadoop.ozone.om.exceptions.OMNotLeaderException: OM:om1 is not the leader. Suggested leader is OM:om2[h:1]."
        );
        let (class, message) = exception(&status).unwrap();
        assert_eq!((class.as_str(), message.as_str()), (fault.class(), fault.message()));
    }

    #[test]
    fn ours_are_told_a_code_that_fits() {
        let path = "/allotrope.v1.ScmBlockService/Submit";
        assert_eq!(of_fault(&Fault::access_denied("no"), path).code(), Code::PermissionDenied);
        assert_eq!(of_fault(&Fault::overloaded("later"), path).code(), Code::Unavailable);
        assert_eq!(of_fault(&Fault::io("broken"), path).code(), Code::Internal);
    }

    #[test]
    fn a_status_of_the_transport_is_nobodys_exception() {
        assert_eq!(exception(&Status::unavailable("tcp connect error: refused")), None);
        assert_eq!(exception(&Status::cancelled("Timeout expired")), None);
        assert_eq!(exception(&Status::unimplemented("")).unwrap().0, class::NO_SUCH_METHOD);
    }
}

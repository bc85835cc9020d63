//! Audit lines, as Ozone writes them: who asked for what from where, and whether it worked.
//!
//! Shape   `user=… | ip=… | op=ALLOCATE_BLOCK {"size":"…"} | ret=SUCCESS`, one a call, to the log target `scm_audit`.
//!         Reads are logged at debug level, changes at info.
//! Never   tokens or keys.

use allotrope_proto::rpc::CallContext;

/// What kind of act it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Read,
    Write,
}

/// The audit line of one call.
pub(crate) fn line(
    context: &CallContext,
    op: &str,
    params: &[(&str, String)],
    failed: Option<&str>,
) -> String {
    let user = context.caller.user.as_deref().unwrap_or("null");
    let ip = context.caller.remote.ip().to_canonical();
    let params: Vec<String> =
        params.iter().map(|(name, value)| format!("\"{name}\":\"{}\"", value.escape_default())).collect();
    let params = params.join(",");
    match failed {
        None => format!("user={user} | ip={ip} | op={op} {{{params}}} | ret=SUCCESS"),
        Some(why) => {
            format!("user={user} | ip={ip} | op={op} {{{params}}} | ret=FAILURE | {}", why.escape_default())
        }
    }
}

/// Writes the audit line of one call.
pub(crate) fn write(
    act: Act,
    context: &CallContext,
    op: &str,
    params: &[(&str, String)],
    failed: Option<&dyn std::fmt::Display>,
) {
    let failed = failed.map(ToString::to_string);
    match act {
        Act::Read if failed.is_none() => {
            tracing::debug!(target: "scm_audit", "{}", line(context, op, params, None));
        }
        _ => tracing::info!(target: "scm_audit", "{}", line(context, op, params, failed.as_deref())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use allotrope_proto::rpc::{Caller, TransportKind};

    #[test]
    fn a_line_has_ozones_form_and_no_line_break_of_a_callers_making() {
        let caller = Caller {
            user: Some("om".into()),
            real_user: None,
            remote: "127.0.0.1:5555".parse().unwrap(),
            host_claimed: None,
            address_claimed: None,
            client_id: None,
            call_id: 1,
            retry_count: 0,
            note: None,
            transport: TransportKind::HadoopRpc,
        };
        #[allow(clippy::disallowed_methods, reason = "a call needs some deadline")]
        let deadline = tokio::time::Instant::now();
        let context = CallContext { caller, deadline };
        let params = [("owner", "o\"m\n1".to_owned()), ("num", "2".to_owned())];
        assert_eq!(
            line(&context, "ALLOCATE_BLOCK", &params, None),
            r#"user=om | ip=127.0.0.1 | op=ALLOCATE_BLOCK {"owner":"o\"m\n1","num":"2"} | ret=SUCCESS"#
        );
        let failed = line(&context, "REGISTER", &[], Some("no\nroom"));
        assert_eq!(failed, r"user=om | ip=127.0.0.1 | op=REGISTER {} | ret=FAILURE | no\nroom");
    }
}

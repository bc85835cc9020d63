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

//! The audit log: a line for each write, as Ozone's OM writes it, at the log target `OMAudit`.
//!
//! Shape   `user=<user> | ip=<address> | op=<ACTION> {volume=<v>, bucket=<b>, key=<k>} | ret=<SUCCESS or FAILURE>`, and after a failure
//!         its status. Reads are not written down, as with Ozone's own settings.
//! Law     a name cannot end a line or a field: control characters and `|` are escaped.

use std::fmt::Write as _;

use allotrope_proto::om::{OmRequest, OmResponse, Type};
use allotrope_types::OmStatus;

use crate::requests::Who;

/// The log target of audit lines.
pub const TARGET: &str = "OMAudit";

/// What of a request its line names; taken before the request goes on.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    op: String,
    named: Vec<(&'static str, String)>,
}

impl Entry {
    /// `None` where nobody reads audit lines, or the request is no write.
    pub(crate) fn of(request: &OmRequest, is_write: bool) -> Option<Entry> {
        if !is_write || !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return None;
        }
        Some(Entry { op: action(request), named: named(request) })
    }

    /// Writes the line.
    pub(crate) fn write(&self, who: &Who, response: &OmResponse) {
        tracing::info!(target: TARGET, "{}", self.line(who, response));
    }

    fn line(&self, who: &Who, response: &OmResponse) -> String {
        let mut text = String::new();
        for (at, (name, value)) in self.named.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            let _ = write!(text, "{separator}{name}={}", plain(value));
        }
        let result = match OmStatus::from_number(response.status) {
            Some(OmStatus::Ok) => "SUCCESS".to_owned(),
            Some(status) => format!("FAILURE | {}", status.name()),
            None => "FAILURE".to_owned(),
        };
        format!(
            "user={} | ip={} | op={} {{{text}}} | ret={result}",
            plain(&who.user),
            plain(&who.address),
            self.op
        )
    }
}

fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c.is_control() || c == '|' {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
        out
    })
}

/// Ozone's word for the request.
fn action(request: &OmRequest) -> String {
    match Type::try_from(request.cmd_type) {
        Ok(Type::CreateKey) => "ALLOCATE_KEY".to_owned(),
        Ok(Type::SetBucketProperty) => "UPDATE_BUCKET".to_owned(),
        Ok(Type::SetVolumeProperty) => {
            let owner = request.set_volume_property_request.as_ref().is_some_and(|r| r.owner_name.is_some());
            if owner { "SET_OWNER" } else { "SET_QUOTA" }.to_owned()
        }
        Ok(known) => known.as_str_name().chars().enumerate().fold(String::new(), |mut out, (at, c)| {
            if c.is_ascii_uppercase() && at > 0 {
                out.push('_');
            }
            out.push(c.to_ascii_uppercase());
            out
        }),
        Err(_) => format!("REQUEST_{}", request.cmd_type),
    }
}

/// Volume, bucket and key, as far as the request names them.
fn named(r: &OmRequest) -> Vec<(&'static str, String)> {
    let args = [
        r.create_key_request.as_ref().map(|asked| &asked.key_args),
        r.commit_key_request.as_ref().map(|asked| &asked.key_args),
        r.allocate_block_request.as_ref().map(|asked| &asked.key_args),
        r.create_file_request.as_ref().map(|asked| &asked.key_args),
        r.create_directory_request.as_ref().map(|asked| &asked.key_args),
        r.delete_key_request.as_ref().map(|asked| &asked.key_args),
        r.rename_key_request.as_ref().map(|asked| &asked.key_args),
        r.initiate_multi_part_upload_request.as_ref().map(|asked| &asked.key_args),
        r.commit_multi_part_upload_request.as_ref().map(|asked| &asked.key_args),
        r.complete_multi_part_upload_request.as_ref().map(|asked| &asked.key_args),
        r.abort_multi_part_upload_request.as_ref().map(|asked| &asked.key_args),
        r.set_times_request.as_ref().map(|asked| &asked.key_args),
        r.put_object_tagging_request.as_ref().map(|asked| &asked.key_args),
        r.delete_object_tagging_request.as_ref().map(|asked| &asked.key_args),
    ];
    if let Some(args) = args.into_iter().flatten().next() {
        let mut named = vec![
            ("volume", args.volume_name.clone()),
            ("bucket", args.bucket_name.clone()),
            ("key", args.key_name.clone()),
        ];
        if let Some(rename) = &r.rename_key_request {
            named.push(("toKeyName", rename.to_key_name.clone()));
        }
        return named;
    }
    let bucket =
        |volume: &str, bucket: &str| vec![("volume", volume.to_owned()), ("bucket", bucket.to_owned())];
    if let Some(asked) = &r.create_bucket_request {
        return bucket(&asked.bucket_info.volume_name, &asked.bucket_info.bucket_name);
    }
    if let Some(asked) = &r.delete_bucket_request {
        return bucket(&asked.volume_name, &asked.bucket_name);
    }
    if let Some(args) = r.set_bucket_property_request.as_ref().and_then(|asked| asked.bucket_args.as_ref()) {
        return bucket(&args.volume_name, &args.bucket_name);
    }
    let acl = [
        r.add_acl_request.as_ref().map(|asked| &asked.obj),
        r.remove_acl_request.as_ref().map(|asked| &asked.obj),
        r.set_acl_request.as_ref().map(|asked| &asked.obj),
    ];
    if let Some(object) = acl.into_iter().flatten().next() {
        return vec![("path", object.path.clone())];
    }
    let volume = [
        r.create_volume_request.as_ref().map(|asked| &asked.volume_info.volume),
        r.delete_volume_request.as_ref().map(|asked| &asked.volume_name),
        r.set_volume_property_request.as_ref().map(|asked| &asked.volume_name),
    ];
    volume.into_iter().flatten().map(|name| ("volume", name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use allotrope_proto::om::{KeyArgs, RenameKeyRequest};

    use super::*;

    fn entry(key: &str) -> Entry {
        let key_args = KeyArgs {
            volume_name: "vol".into(),
            bucket_name: "bkt".into(),
            key_name: key.into(),
            ..KeyArgs::default()
        };
        let rename = RenameKeyRequest { key_args, to_key_name: "b".into(), update_id: None };
        let request = OmRequest {
            cmd_type: Type::RenameKey as i32,
            rename_key_request: Some(Box::new(rename)),
            ..OmRequest::default()
        };
        Entry { op: action(&request), named: named(&request) }
    }

    #[test]
    fn a_line_says_who_did_what_and_what_came_of_it() {
        let who = Who { user: "ann".into(), address: "192.0.2.1".into() };
        let mut response = OmResponse { status: OmStatus::Ok.number(), ..OmResponse::default() };
        assert_eq!(
            entry("a").line(&who, &response),
            "user=ann | ip=192.0.2.1 | op=RENAME_KEY {volume=vol, bucket=bkt, key=a, toKeyName=b} | ret=SUCCESS"
        );
        response.status = OmStatus::KeyNotFound.number();
        let line = entry("x\n| ret=SUCCESS").line(&who, &response);
        assert!(line.ends_with("ret=FAILURE | KEY_NOT_FOUND"), "{line}");
        assert!(!line.contains('\n') && line.matches(" | ").count() == 4, "{line}");
    }
}

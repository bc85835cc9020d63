//! Access control lists: read, added to, taken from, replaced.

use crate::edge::om_bucket::{Acl, OzoneObj};
use crate::om as wire;

alone! {
    wire;
    GetAclRequest.obj is OzoneObj,
    GetAclResponse.acls is Vec<Acl>,
}
message! {
    /// An entry to add to, or take from, something's access control list.
    ChangeAcl = wire => AddAclRequest, RemoveAclRequest {
        obj: OzoneObj,
        acl: Acl,
        modification_time: Option<u64>,
    }
}
message! {
    /// Something's whole access control list.
    SetAcl = wire => SetAclRequest {
        obj: OzoneObj,
        acl: Vec<Acl>,
        modification_time: Option<u64>,
    }
}
message! {
    /// Whether the list is another now.
    AclChanged = wire => AddAclResponse, RemoveAclResponse, SetAclResponse {
        response: bool,
    }
}

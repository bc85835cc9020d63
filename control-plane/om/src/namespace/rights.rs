//! Who may do what: Ozone's native model of access, from lists and owners to yes or no.
//!
//! Shape   a right on an object needs the right in the object's own list and, on what holds it, READ, or WRITE where something
//!         is made. Owners pass their own object, administrators everything.
//! Law     an entry with NONE grants nothing; a list grants what any of its entries grants; scopes are not told apart. Only
//!         administrators make volumes.
//! Source  Ozone's OzoneNativeAuthorizer.

use allotrope_proto::om::OzoneAclInfo;
use allotrope_proto::om::ozone_acl_info::OzoneAclType;

/// A right, by its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    Read = 0,
    Write = 1,
    Create = 2,
    List = 3,
    Delete = 4,
    ReadAcl = 5,
    WriteAcl = 6,
}

const ALL: u32 = 7;
const NONE: u32 = 8;

impl Right {
    /// What the right asks of the bucket and the prefix that hold a key.
    pub(crate) fn on_holder(self) -> Right {
        match self {
            Right::Create | Right::Write => Right::Write,
            _ => Right::Read,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Right::Read => "READ",
            Right::Write => "WRITE",
            Right::Create => "CREATE",
            Right::List => "LIST",
            Right::Delete => "DELETE",
            Right::ReadAcl => "READ_ACL",
            Right::WriteAcl => "WRITE_ACL",
        }
    }
}

/// Who asks, with what lists know people by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    pub(crate) address: String,
}

fn has_bit(rights: &[u8], bit: u32) -> bool {
    rights.get(bit as usize / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

fn names(entry: &OzoneAclInfo, person: &Person) -> bool {
    match OzoneAclType::try_from(entry.r#type) {
        Ok(OzoneAclType::User) => entry.name == person.user,
        Ok(OzoneAclType::Group) => person.groups.contains(&entry.name),
        Ok(OzoneAclType::World | OzoneAclType::Anonymous) => true,
        Ok(OzoneAclType::ClientIp) => entry.name == person.address,
        Err(_) => false,
    }
}

/// Whether `list` grants `right` to `person`.
pub(crate) fn grants(list: &[OzoneAclInfo], person: &Person, right: Right) -> bool {
    list.iter().any(|entry| {
        names(entry, person)
            && !has_bit(&entry.rights, NONE)
            && (has_bit(&entry.rights, ALL) || has_bit(&entry.rights, right as u32))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: OzoneAclType, name: &str, rights: &[u8]) -> OzoneAclInfo {
        OzoneAclInfo { r#type: kind as i32, name: name.into(), rights: rights.to_vec().into(), acl_scope: 0 }
    }

    #[test]
    fn a_list_grants_what_any_entry_grants() {
        let bob = Person { user: "bob".into(), groups: vec!["staff".into()], address: "192.0.2.1".into() };
        let one = |kind, name: &str, rights: &[u8]| grants(&[entry(kind, name, rights)], &bob, Right::Write);
        assert!(one(OzoneAclType::User, "bob", &[2]) && one(OzoneAclType::User, "bob", &[0x80]));
        assert!(!one(OzoneAclType::User, "bob", &[1]) && !one(OzoneAclType::User, "ann", &[2]));
        assert!(!one(OzoneAclType::User, "bob", &[0x82, 1]), "NONE takes the entry's rights away");
        assert!(one(OzoneAclType::Group, "staff", &[2]) && !one(OzoneAclType::Group, "bob", &[2]));
        assert!(one(OzoneAclType::World, "WORLD", &[2]) && one(OzoneAclType::ClientIp, "192.0.2.1", &[2]));
        assert!(!one(OzoneAclType::User, "bob", &[]));
        let none = entry(OzoneAclType::User, "bob", &[0, 1]);
        assert!(grants(&[none, entry(OzoneAclType::World, "", &[2])], &bob, Right::Write));
    }
}

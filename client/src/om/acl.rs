//! Who may do what.

use allotrope_proto::om::{OzoneAclInfo, ozone_acl_info};

/// One entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// `USER`, `GROUP`, `WORLD`, `ANONYMOUS` or `CLIENT_IP`.
    pub kind: &'static str,
    /// The user's or group's name; empty for the world.
    pub name: String,
    /// `ACCESS`, or `DEFAULT` for what is created inside.
    pub scope: &'static str,
    /// The rights, in Ozone's words.
    pub rights: Vec<&'static str>,
}

/// Ozone's words for the rights, by their bit.
const RIGHTS: [&str; 9] =
    ["READ", "WRITE", "CREATE", "LIST", "DELETE", "READ_ACL", "WRITE_ACL", "ALL", "NONE"];

impl From<OzoneAclInfo> for Acl {
    fn from(wire: OzoneAclInfo) -> Acl {
        use ozone_acl_info::OzoneAclType as Kind;
        let kind = match Kind::try_from(wire.r#type) {
            Ok(Kind::User) => "USER",
            Ok(Kind::Group) => "GROUP",
            Ok(Kind::World) => "WORLD",
            Ok(Kind::Anonymous) => "ANONYMOUS",
            Ok(Kind::ClientIp) => "CLIENT_IP",
            Err(_) => "UNKNOWN",
        };
        let has = |bit: usize| wire.rights.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
        Acl {
            kind,
            name: wire.name.clone(),
            scope: if wire.acl_scope == 0 { "ACCESS" } else { "DEFAULT" },
            rights: RIGHTS.iter().enumerate().filter(|(bit, _)| has(*bit)).map(|(_, word)| *word).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_bit_by_bit() {
        let wire = |rights: &'static [u8]| OzoneAclInfo {
            r#type: 1,
            name: "alice".into(),
            rights: bytes::Bytes::from_static(rights),
            acl_scope: 0,
        };
        assert_eq!(Acl::from(wire(&[0b1000_0000])).rights, ["ALL"]);
        assert_eq!(Acl::from(wire(&[0b0000_1001, 1])).rights, ["READ", "LIST", "NONE"]);
        assert_eq!(Acl::from(wire(&[])).rights, [""; 0]);
    }
}

//! Who may do what: access control lists, and the calls that show and change them.
//!
//! Text    `type:name:rights[scope]`, for example `user:alice:rw` or `group:staff:l[DEFAULT]`: the type is user, group, world,
//!         anonymous or client_ip; a right is one letter of `LETTERS`, in their order when it is printed; the scope is ACCESS
//!         unless it says DEFAULT.
//! Wire    the rights are a set of bits, the first byte's lowest first.

use std::fmt;
use std::str::FromStr;

use allotrope_proto::om::ozone_acl_info::{OzoneAclScope, OzoneAclType as Kind};
use allotrope_proto::om::ozone_obj::{ObjectType, StoreType};
use allotrope_proto::om::{
    AddAclRequest, GetAclRequest, OzoneAclInfo, OzoneObj, RemoveAclRequest, SetAclRequest, Type,
};

use super::part;
use crate::client::Client;
use crate::error::Error;
use crate::path::{BucketPath, KeyPath};

/// One entry of an access control list.
///
/// ```
/// use allotrope_client::Acl;
///
/// let acl: Acl = "group:staff:rl[DEFAULT]".parse()?;
/// assert_eq!((acl.kind, acl.name.as_str(), acl.scope), ("GROUP", "staff", "DEFAULT"));
/// assert_eq!(acl.rights, ["READ", "LIST"]);
/// assert_eq!(acl.to_string(), "group:staff:rl[DEFAULT]");
/// # Ok::<(), allotrope_client::AclError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// `USER`, `GROUP`, `WORLD`, `ANONYMOUS` or `CLIENT_IP`.
    pub kind: &'static str,
    /// The user's or group's name; the kind's own for the world and for the anonymous.
    pub name: String,
    /// `ACCESS`, or `DEFAULT` for what is created inside.
    pub scope: &'static str,
    /// The rights, in Ozone's words.
    pub rights: Vec<&'static str>,
}

/// What has an access control list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclTarget {
    /// A volume, by name.
    Volume(String),
    /// A bucket.
    Bucket(BucketPath),
    /// A key or a directory.
    Key(KeyPath),
    /// All keys of a bucket whose names begin with a path, which ends with a slash.
    Prefix(KeyPath),
}

/// Text that is no entry of an access control list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {why}; the form is user:NAME:RIGHTS, for example user:alice:rw or group:staff:l[DEFAULT]")]
pub struct AclError {
    /// The text.
    pub text: String,
    /// What is wrong with it, to be read after the text.
    pub why: String,
}

/// Ozone's words for the rights, by their bit.
const RIGHTS: [&str; 10] =
    ["READ", "WRITE", "CREATE", "LIST", "DELETE", "READ_ACL", "WRITE_ACL", "ALL", "NONE", "ASSUME_ROLE"];
/// The rights' letters, by their bit.
const LETTERS: [char; 10] = ['r', 'w', 'c', 'l', 'd', 'x', 'y', 'a', 'n', 'm'];
const KINDS: [(&str, Kind); 5] = [
    ("USER", Kind::User),
    ("GROUP", Kind::Group),
    ("WORLD", Kind::World),
    ("ANONYMOUS", Kind::Anonymous),
    ("CLIENT_IP", Kind::ClientIp),
];
const ACCESS: &str = "ACCESS";
const DEFAULT: &str = "DEFAULT";

impl From<OzoneAclInfo> for Acl {
    fn from(wire: OzoneAclInfo) -> Acl {
        let kind = KINDS.iter().find(|(_, kind)| *kind as i32 == wire.r#type);
        let has = |bit: usize| wire.rights.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
        Acl {
            kind: kind.map_or("UNKNOWN", |(name, _)| name),
            name: wire.name.clone(),
            scope: if wire.acl_scope == OzoneAclScope::Access as i32 { ACCESS } else { DEFAULT },
            rights: RIGHTS.iter().enumerate().filter(|(bit, _)| has(*bit)).map(|(_, word)| *word).collect(),
        }
    }
}

impl From<&Acl> for OzoneAclInfo {
    fn from(acl: &Acl) -> OzoneAclInfo {
        let bits = RIGHTS.iter().enumerate().filter(|(_, word)| acl.rights.contains(word));
        let bits = bits.fold(0u16, |bits, (bit, _)| bits | 1 << bit);
        let [low, high] = bits.to_le_bytes();
        let rights = if high == 0 { vec![low] } else { vec![low, high] };
        let kind = KINDS.iter().find(|(name, _)| *name == acl.kind).map_or(Kind::User, |(_, kind)| *kind);
        let scope = if acl.scope == DEFAULT { OzoneAclScope::Default } else { OzoneAclScope::Access };
        OzoneAclInfo {
            r#type: kind as i32,
            name: acl.name.clone(),
            rights: rights.into(),
            acl_scope: scope as i32,
        }
    }
}

impl FromStr for Acl {
    type Err = AclError;

    fn from_str(text: &str) -> Result<Acl, AclError> {
        let refused = |why: String| AclError { text: text.to_owned(), why };
        let mut parts = text.trim().splitn(3, ':');
        let (Some(kind), Some(name), Some(rights)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused("has too few parts".to_owned()));
        };
        let kind = match kind.to_ascii_uppercase().as_str() {
            // As it is printed.
            "IP" => "CLIENT_IP",
            other => KINDS.iter().map(|(name, _)| *name).find(|name| *name == other).ok_or_else(|| {
                refused("begins with none of user, group, world, anonymous, client_ip".to_owned())
            })?,
        };
        let name = match (kind, name) {
            ("WORLD" | "ANONYMOUS", "") => kind.to_owned(),
            ("WORLD" | "ANONYMOUS", name) if name != kind => {
                return Err(refused(format!("names {name:?} where only {kind} may stand, or nothing")));
            }
            (_, "") => return Err(refused("names nobody".to_owned())),
            (_, name) => name.to_owned(),
        };
        let (rights, scope) = match (rights.strip_suffix("[DEFAULT]"), rights.strip_suffix("[ACCESS]")) {
            (Some(rights), _) => (rights, DEFAULT),
            (None, Some(rights)) => (rights, ACCESS),
            (None, None) => (rights, ACCESS),
        };
        if rights.is_empty() {
            return Err(refused("gives no right".to_owned()));
        }
        if let Some(unknown) = rights.chars().find(|letter| !LETTERS.contains(letter)) {
            return Err(refused(format!("has the right {unknown:?}, which is none of {}", letters())));
        }
        let has = |bit: usize| rights.contains(LETTERS[bit]);
        let rights = RIGHTS.iter().enumerate().filter(|(bit, _)| has(*bit)).map(|(_, word)| *word).collect();
        Ok(Acl { kind, name, scope, rights })
    }
}

fn letters() -> String {
    LETTERS.map(String::from).join(" ")
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == "CLIENT_IP" { "ip" } else { self.kind };
        write!(f, "{}:{}:", kind.to_ascii_lowercase(), self.name)?;
        for (letter, _) in LETTERS.iter().zip(RIGHTS).filter(|(_, word)| self.rights.contains(word)) {
            write!(f, "{letter}")?;
        }
        if self.scope == DEFAULT { f.write_str("[DEFAULT]") } else { Ok(()) }
    }
}

impl fmt::Display for AclTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AclTarget::Volume(name) => write!(f, "volume {name}"),
            AclTarget::Bucket(path) => write!(f, "bucket {path}"),
            AclTarget::Key(path) => write!(f, "key {path}"),
            AclTarget::Prefix(path) => write!(f, "prefix {path}"),
        }
    }
}

impl AclTarget {
    fn wire(&self) -> OzoneObj {
        let (kind, path) = match self {
            AclTarget::Volume(name) => (ObjectType::Volume, format!("/{name}")),
            AclTarget::Bucket(path) => (ObjectType::Bucket, path.to_string()),
            AclTarget::Key(path) => (ObjectType::Key, path.to_string()),
            AclTarget::Prefix(path) => (ObjectType::Prefix, path.to_string()),
        };
        OzoneObj { res_type: kind as i32, store_type: StoreType::Ozone as i32, path }
    }
}

impl Client {
    /// The access control list of `target`.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_FOUND` and its kin, `INVALID_PATH_IN_ACL_REQUEST` for a prefix without its slash.
    pub async fn acls(&self, target: &AclTarget) -> Result<Vec<Acl>, Error> {
        let act = format!("look up the rights of {target}");
        let mut request = self.om().request(Type::GetAcl);
        request.get_acl_request = Some(Box::new(GetAclRequest { obj: target.wire() }));
        let response = self.om().submit(&act, &request).await?;
        let list = part(&act, response.get_acl_response, "the list")?;
        Ok(list.acls.into_iter().map(Acl::from).collect())
    }

    /// Adds the rights of `acl` to the list of `target`; false if it had them all.
    ///
    /// # Errors
    /// As [`Client::acls`].
    pub async fn add_acl(&self, target: &AclTarget, acl: &Acl) -> Result<bool, Error> {
        let act = format!("add rights to {target}");
        let mut request = self.om().request(Type::AddAcl);
        request.add_acl_request =
            Some(Box::new(AddAclRequest { obj: target.wire(), acl: acl.into(), modification_time: None }));
        let response = self.om().submit(&act, &request).await?;
        Ok(part(&act, response.add_acl_response, "what was done")?.response)
    }

    /// Takes the rights of `acl` from the list of `target`; false if it had none of them.
    ///
    /// # Errors
    /// As [`Client::acls`], and `PREFIX_NOT_FOUND` for a prefix without a list.
    pub async fn remove_acl(&self, target: &AclTarget, acl: &Acl) -> Result<bool, Error> {
        let act = format!("remove rights from {target}");
        let mut request = self.om().request(Type::RemoveAcl);
        request.remove_acl_request =
            Some(Box::new(RemoveAclRequest { obj: target.wire(), acl: acl.into(), modification_time: None }));
        let response = self.om().submit(&act, &request).await?;
        Ok(part(&act, response.remove_acl_response, "what was done")?.response)
    }

    /// Makes `acls` the list of `target`.
    ///
    /// # Errors
    /// As [`Client::acls`].
    pub async fn set_acls(&self, target: &AclTarget, acls: &[Acl]) -> Result<(), Error> {
        let acl = acls.iter().map(OzoneAclInfo::from).collect();
        let mut request = self.om().request(Type::SetAcl);
        request.set_acl_request =
            Some(Box::new(SetAclRequest { obj: target.wire(), acl, modification_time: None }));
        self.om().submit(&format!("set the rights of {target}"), &request).await.map(drop)
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
        for rights in [&[0b1000_0000][..], &[0b0000_1001, 1], &[0xff, 3]] {
            let wire = wire(rights);
            assert_eq!(OzoneAclInfo::from(&Acl::from(wire.clone())), wire);
        }
    }

    #[test]
    fn an_entry_survives_its_text_which_is_printed_as_ozone_prints_it() {
        for (text, printed) in [
            ("user:bob:rw", "user:bob:rw"),
            (" USER:bob:wrr[ACCESS]", "user:bob:rw"),
            ("group:dev:l[DEFAULT]", "group:dev:l[DEFAULT]"),
            ("world::r", "world:WORLD:r"),
            ("anonymous:ANONYMOUS:n", "anonymous:ANONYMOUS:n"),
            ("client_ip:10.0.0.7:r", "ip:10.0.0.7:r"),
            ("user:bob:mywrcldxa", "user:bob:rwcldxyam"),
        ] {
            let acl: Acl = text.parse().unwrap();
            assert_eq!(acl.to_string(), printed);
            assert_eq!(printed.parse::<Acl>().unwrap(), acl);
            assert_eq!(Acl::from(OzoneAclInfo::from(&acl)), acl);
        }
    }

    #[test]
    fn damaged_entries_are_refused_with_what_is_wrong() {
        for (text, why) in [
            ("", "has too few parts"),
            ("user:bob", "has too few parts"),
            ("nobody:x:r", "begins with none of user, group, world, anonymous, client_ip"),
            ("user::r", "names nobody"),
            ("world:x:r", "names \"x\" where only WORLD may stand, or nothing"),
            ("user:bob:", "gives no right"),
            ("user:bob:[DEFAULT]", "gives no right"),
            ("user:bob:rq", "has the right 'q', which is none of r w c l d x y a n m"),
            ("user:bob:RW", "has the right 'R', which is none of r w c l d x y a n m"),
            ("user:bob:r[OTHER]", "has the right '[', which is none of r w c l d x y a n m"),
            ("user:a:b:r", "has the right 'b', which is none of r w c l d x y a n m"),
        ] {
            assert_eq!(text.parse::<Acl>().unwrap_err().why, why, "{text}");
        }
    }
}

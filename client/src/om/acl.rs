//! Who may do what: access control lists, and the calls that show and change them.
//!
//! Text    `type:name:rights[scope]`, for example `user:alice:rw` or `group:staff:l[DEFAULT]`: the type is user, group, world,
//!         anonymous or client_ip; a right is one letter of `LETTERS`, in their order when it is printed; the scope is ACCESS
//!         unless it says DEFAULT.

use std::fmt;
use std::str::FromStr;

use allotrope_proto::edge::om::OmCall;
use allotrope_proto::edge::om::acl::{ChangeAcl, SetAcl};
use allotrope_proto::edge::om_bucket::{
    self as edge, AclRights, ObjectType, OzoneAclScope, OzoneAclType as Kind, OzoneObj, StoreType,
};

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

/// The rights with Ozone's words and letters for them, in the order in which they are printed.
const RIGHTS: [(AclRights, &str, char); 10] = [
    (AclRights::READ, "READ", 'r'),
    (AclRights::WRITE, "WRITE", 'w'),
    (AclRights::CREATE, "CREATE", 'c'),
    (AclRights::LIST, "LIST", 'l'),
    (AclRights::DELETE, "DELETE", 'd'),
    (AclRights::READ_ACL, "READ_ACL", 'x'),
    (AclRights::WRITE_ACL, "WRITE_ACL", 'y'),
    (AclRights::ALL, "ALL", 'a'),
    (AclRights::NONE, "NONE", 'n'),
    (AclRights::ASSUME_ROLE, "ASSUME_ROLE", 'm'),
];
const KINDS: [(&str, Kind); 5] = [
    ("USER", Kind::User),
    ("GROUP", Kind::Group),
    ("WORLD", Kind::World),
    ("ANONYMOUS", Kind::Anonymous),
    ("CLIENT_IP", Kind::ClientIp),
];
const ACCESS: &str = "ACCESS";
const DEFAULT: &str = "DEFAULT";

impl From<edge::Acl> for Acl {
    fn from(acl: edge::Acl) -> Acl {
        let kind = KINDS.iter().find(|(_, kind)| *kind == acl.r#type);
        let &(kind, _) = kind.expect("the table has every kind that the edge knows");
        let scope = match acl.acl_scope {
            OzoneAclScope::Access => ACCESS,
            OzoneAclScope::Default => DEFAULT,
        };
        let rights = RIGHTS.iter().filter(|(right, ..)| acl.rights.names(*right));
        Acl { kind, name: acl.name, scope, rights: rights.map(|(_, word, _)| *word).collect() }
    }
}

impl From<&Acl> for edge::Acl {
    fn from(acl: &Acl) -> edge::Acl {
        let rights = RIGHTS.iter().filter(|(_, word, _)| acl.rights.contains(word));
        edge::Acl {
            r#type: KINDS.iter().find(|(name, _)| *name == acl.kind).map_or(Kind::User, |(_, kind)| *kind),
            name: acl.name.clone(),
            rights: rights.fold(AclRights::default(), |all, (right, ..)| all.and(*right)),
            acl_scope: if acl.scope == DEFAULT { OzoneAclScope::Default } else { OzoneAclScope::Access },
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
        let is_known = |letter: &char| RIGHTS.iter().any(|(.., known)| known == letter);
        if let Some(unknown) = rights.chars().find(|letter| !is_known(letter)) {
            return Err(refused(format!("has the right {unknown:?}, which is none of {}", letters())));
        }
        let named = RIGHTS.iter().filter(|(.., letter)| rights.contains(*letter));
        Ok(Acl { kind, name, scope, rights: named.map(|(_, word, _)| *word).collect() })
    }
}

fn letters() -> String {
    RIGHTS.map(|(.., letter)| letter.to_string()).join(" ")
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == "CLIENT_IP" { "ip" } else { self.kind };
        write!(f, "{}:{}:", kind.to_ascii_lowercase(), self.name)?;
        for (.., letter) in RIGHTS.iter().filter(|(_, word, _)| self.rights.contains(word)) {
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
    fn object(&self) -> OzoneObj {
        let (res_type, path) = match self {
            AclTarget::Volume(name) => (ObjectType::Volume, format!("/{name}")),
            AclTarget::Bucket(path) => (ObjectType::Bucket, path.to_string()),
            AclTarget::Key(path) => (ObjectType::Key, path.to_string()),
            AclTarget::Prefix(path) => (ObjectType::Prefix, path.to_string()),
        };
        OzoneObj { res_type, store_type: StoreType::Ozone, path }
    }
}

impl Client {
    /// The access control list of `target`.
    ///
    /// # Errors
    /// [`Error::Refused`] with `VOLUME_NOT_FOUND` and its kin, `INVALID_PATH_IN_ACL_REQUEST` for a prefix without its slash.
    pub async fn acls(&self, target: &AclTarget) -> Result<Vec<Acl>, Error> {
        let acls = ask!(self.om(), &format!("look up the rights of {target}"), GetAcl(target.object()))?;
        Ok(acls.into_iter().map(Acl::from).collect())
    }

    /// Adds the rights of `acl` to the list of `target`; false if it had them all.
    ///
    /// # Errors
    /// As [`Client::acls`].
    pub async fn add_acl(&self, target: &AclTarget, acl: &Acl) -> Result<bool, Error> {
        let call = ChangeAcl { obj: target.object(), acl: acl.into(), modification_time: None };
        Ok(ask!(self.om(), &format!("add rights to {target}"), AddAcl(call))?.response)
    }

    /// Takes the rights of `acl` from the list of `target`; false if it had none of them.
    ///
    /// # Errors
    /// As [`Client::acls`], and `PREFIX_NOT_FOUND` for a prefix without a list.
    pub async fn remove_acl(&self, target: &AclTarget, acl: &Acl) -> Result<bool, Error> {
        let call = ChangeAcl { obj: target.object(), acl: acl.into(), modification_time: None };
        Ok(ask!(self.om(), &format!("remove rights from {target}"), RemoveAcl(call))?.response)
    }

    /// Makes `acls` the list of `target`.
    ///
    /// # Errors
    /// As [`Client::acls`].
    pub async fn set_acls(&self, target: &AclTarget, acls: &[Acl]) -> Result<(), Error> {
        let acl = acls.iter().map(edge::Acl::from).collect();
        let call = SetAcl { obj: target.object(), acl, modification_time: None };
        self.om().order(&format!("set the rights of {target}"), OmCall::SetAcl(call)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_read_one_by_one() {
        let told = |rights| edge::Acl {
            r#type: Kind::User,
            name: "alice".into(),
            rights,
            acl_scope: OzoneAclScope::Access,
        };
        let words = |rights| Acl::from(told(rights)).rights;
        assert_eq!(words(AclRights::ALL), ["ALL"]);
        assert_eq!(
            words(AclRights::READ.and(AclRights::LIST).and(AclRights::NONE)),
            ["READ", "LIST", "NONE"]
        );
        assert_eq!(words(AclRights::default()), [""; 0]);
        let all = RIGHTS.iter().fold(AclRights::default(), |all, (right, ..)| all.and(*right));
        assert_eq!(words(all), RIGHTS.map(|(_, word, _)| word));
        for rights in [AclRights::ALL, AclRights::READ.and(AclRights::NONE), all] {
            let told = told(rights);
            assert_eq!(edge::Acl::from(&Acl::from(told.clone())), told);
        }
    }

    #[test]
    fn every_kind_and_scope_of_the_edge_has_its_words() {
        for number in 0..100 {
            let Ok(kind) = Kind::try_from(number) else { continue };
            for acl_scope in [OzoneAclScope::Access, OzoneAclScope::Default] {
                let told = edge::Acl { r#type: kind, name: "x".into(), rights: AclRights::READ, acl_scope };
                assert_eq!(edge::Acl::from(&Acl::from(told.clone())), told);
            }
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
            assert_eq!(Acl::from(edge::Acl::from(&acl)), acl);
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

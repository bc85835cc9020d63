//! Access control lists: what a new volume, bucket or key gets, and how lists are changed.
//!
//! Shape   an entry's rights are a little-endian bit set of one or two bytes; entries of a list differ in
//!         (type, name, scope).

use allotrope_proto::om::OzoneAclInfo;
use allotrope_proto::om::ozone_acl_info::{OzoneAclScope, OzoneAclType};
use bytes::Bytes;

/// ALL, as a bit set.
const ALL: u8 = 1 << 7;
/// READ and LIST, as a bit set.
const READ_LIST: u8 = 1 | 1 << 3;

/// What a user who makes something gets: all rights for the user, reading and listing for the primary group.
pub(crate) fn of_maker(user: &str, group: Option<&str>) -> Vec<OzoneAclInfo> {
    let entry = |kind: OzoneAclType, name: &str, rights: u8| OzoneAclInfo {
        r#type: kind as i32,
        name: name.to_owned(),
        rights: Bytes::copy_from_slice(&[rights]),
        acl_scope: OzoneAclScope::Access as i32,
    };
    let group = group.map(|name| entry(OzoneAclType::Group, name, READ_LIST));
    std::iter::once(entry(OzoneAclType::User, user, ALL)).chain(group).collect()
}

fn same_holder(a: &OzoneAclInfo, b: &OzoneAclInfo) -> bool {
    (a.r#type, a.acl_scope, &a.name) == (b.r#type, b.acl_scope, &b.name)
}

fn trimmed(mut rights: Vec<u8>) -> Bytes {
    while rights.len() > 1 && rights.last() == Some(&0) {
        rights.pop();
    }
    Bytes::from(rights)
}

fn combine(a: &[u8], b: &[u8], bit: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    let at = |rights: &[u8], index: usize| rights.get(index).copied().unwrap_or(0);
    (0..a.len().max(b.len())).map(|index| bit(at(a, index), at(b, index))).collect()
}

/// Adds the rights of `given` to its holder's entry. Whether the list changed.
pub(crate) fn add(list: &mut Vec<OzoneAclInfo>, given: &OzoneAclInfo) -> bool {
    match list.iter_mut().find(|entry| same_holder(entry, given)) {
        Some(entry) => {
            let rights = trimmed(combine(&entry.rights, &given.rights, |a, b| a | b));
            let changed = rights != entry.rights;
            entry.rights = rights;
            changed
        }
        None => {
            list.push(given.clone());
            true
        }
    }
}

/// Takes the rights of `given` from its holder's entry, and the entry away with the last. Whether the list changed.
pub(crate) fn remove(list: &mut Vec<OzoneAclInfo>, given: &OzoneAclInfo) -> bool {
    let Some(at) = list.iter().position(|entry| same_holder(entry, given)) else { return false };
    let rights = trimmed(combine(&list[at].rights, &given.rights, |a, b| a & !b));
    if rights == list[at].rights {
        return false;
    }
    match rights.iter().all(|byte| *byte == 0) {
        true => {
            list.remove(at);
        }
        false => list[at].rights = rights,
    }
    true
}

/// Entries of `from` with scope DEFAULT, as ACCESS entries of something made below it.
pub(crate) fn inherited(from: &[OzoneAclInfo]) -> impl Iterator<Item = OzoneAclInfo> + '_ {
    from.iter()
        .filter(|entry| entry.acl_scope == OzoneAclScope::Default as i32)
        .map(|entry| OzoneAclInfo { acl_scope: OzoneAclScope::Access as i32, ..entry.clone() })
}

/// Adds every entry of `given`.
pub(crate) fn add_all(list: &mut Vec<OzoneAclInfo>, given: impl IntoIterator<Item = OzoneAclInfo>) {
    for entry in given {
        add(list, &entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, rights: &[u8]) -> OzoneAclInfo {
        OzoneAclInfo {
            r#type: OzoneAclType::User as i32,
            name: name.into(),
            rights: Bytes::copy_from_slice(rights),
            acl_scope: OzoneAclScope::Access as i32,
        }
    }

    #[test]
    fn rights_are_added_and_taken_by_holder() {
        let mut list = of_maker("ann", Some("staff"));
        assert_eq!(list[1].rights.as_ref(), [0x09]);
        assert!(add(&mut list, &entry("bob", &[1])));
        assert!(!add(&mut list, &entry("bob", &[1])));
        assert!(add(&mut list, &entry("bob", &[0, 2])));
        assert_eq!(list[2].rights.as_ref(), [1, 2]);
        assert!(remove(&mut list, &entry("bob", &[0, 2])));
        assert_eq!(list[2].rights.as_ref(), [1]);
        assert!(!remove(&mut list, &entry("bob", &[2])));
        assert!(remove(&mut list, &entry("bob", &[1])));
        assert_eq!(list.len(), 2);
        assert!(!remove(&mut list, &entry("eve", &[1])));
    }
}

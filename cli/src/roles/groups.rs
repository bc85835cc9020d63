//! Groups of users, as this machine knows them: the wire carries only a user's name.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use allotrope_om::settings::Groups;

/// How long an answer of the system is believed, as Hadoop does by default.
const KEPT: Duration = Duration::from_secs(300);
/// Users whose groups are kept at once; one more and all are asked for anew.
const USERS_MAX: usize = 10_000;

/// Asks the system, and remembers for a while.
#[derive(Debug, Default)]
pub(crate) struct SystemGroups {
    known: Mutex<BTreeMap<String, (Instant, Vec<String>)>>,
}

/// The user this process runs as.
pub(crate) fn own_user() -> String {
    uzers::get_current_username().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "om".to_owned())
}

/// The groups of `user`, the primary one first; none for a user whom the system does not know.
fn ask(user: &str) -> Vec<String> {
    let Some(found) = uzers::get_user_by_name(user) else { return Vec::new() };
    let primary = found.primary_group_id();
    let name = |group: uzers::Group| group.name().to_str().map(str::to_owned);
    let first = uzers::get_group_by_gid(primary).and_then(name);
    let others = uzers::get_user_groups(user, primary).unwrap_or_default();
    let others = others.into_iter().filter(|group| group.gid() != primary).filter_map(name);
    first.into_iter().chain(others).collect()
}

impl Groups for SystemGroups {
    fn primary_group(&self, user: &str) -> Option<String> {
        self.all(user).into_iter().next()
    }

    fn all(&self, user: &str) -> Vec<String> {
        let now = Instant::now();
        let known = || self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((since, groups)) = known().get(user)
            && now.duration_since(*since) < KEPT
        {
            return groups.clone();
        }
        let groups = ask(user);
        let mut known = known();
        if known.len() >= USERS_MAX {
            known.clear();
        }
        known.insert(user.to_owned(), (now, groups.clone()));
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_the_groups_of_its_root_and_none_of_a_stranger() {
        let groups = SystemGroups::default();
        for _ in 0..2 {
            assert_eq!(groups.primary_group("root").as_deref(), Some("root"));
            assert_eq!(groups.all("a-user-nobody-has"), Vec::<String>::new());
        }
    }
}

//! ListVolume: an owner's volumes, or all of them, by name.

use allotrope_proto::om::list_volume_request::Scope;
use allotrope_proto::om::{ListVolumeResponse, OmRequest, OmResponse};

use super::Scene;
use crate::namespace::rights::{Right, grants};
use crate::namespace::volumes;
use crate::refusal::{Refusal, refuse};
use crate::tables::{VOLUMES, VolumeKey};

pub(super) fn read(scene: &Scene<'_>, mut request: OmRequest) -> Result<OmResponse, Refusal> {
    let asked = request.list_volume_request.take().unwrap_or_default();
    let wanted = scene.page(asked.max_keys.map(i64::from));
    let (prefix, after) = (asked.prefix(), asked.prev_key());
    let mut volume_info = Vec::new();
    if asked.scope() == Scope::VolumesByCluster
        && scene.settings.acl_enabled
        && !scene.settings.list_all_volumes
        && !scene.is_admin()
    {
        refuse!(PermissionDenied, "only administrators may list the volumes of all users");
    }
    if asked.scope() != Scope::VolumesByCluster && scene.settings.acl_enabled {
        // Those that the user may list, whoever owns them.
        let person = match asked.user_name() {
            "" => scene.person(),
            user => scene.person_named(user),
        };
        let all = match after {
            "" => scene.db.scan(VOLUMES, &VolumeKey::prefix(prefix))?,
            _ => scene.db.scan_after(VOLUMES, &VolumeKey::prefix(prefix), &VolumeKey::of(after))?,
        };
        for pair in all {
            let (_, volume) = pair?;
            if volume.owner_name == person.user || grants(&volume.volume_acls, &person, Right::List) {
                volume_info.push(volume);
            }
            if volume_info.len() == wanted {
                break;
            }
        }
    } else if asked.scope() == Scope::VolumesByCluster {
        let start = VolumeKey::of(after);
        let all = match after {
            "" => scene.db.scan(VOLUMES, &VolumeKey::prefix(prefix))?,
            _ => scene.db.scan_after(VOLUMES, &VolumeKey::prefix(prefix), &start)?,
        };
        for pair in all.take(wanted) {
            volume_info.push(pair?.1);
        }
    } else {
        let owner = asked.user_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&scene.who.user);
        let mut names = volumes::of_owner(scene.db, owner)?.volume_names;
        names.sort_unstable();
        let listed = names.iter().filter(|name| name.starts_with(prefix) && name.as_str() > after);
        for name in listed.take(wanted) {
            volume_info.push(volumes::find(scene.db, name)?);
        }
    }
    let list_volume_response = Some(Box::new(ListVolumeResponse { volume_info }));
    Ok(OmResponse { list_volume_response, ..OmResponse::default() })
}

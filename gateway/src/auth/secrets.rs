//! The secrets of access ids: OM's, remembered for a little while.
//!
//! Law     a secret that was revoked or changed stops working within [`FRESH`].

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use allotrope_client::Client;
use allotrope_types::OmStatus;
use tokio::time::Instant;

use crate::fault::{Fault, of_client};

/// How long a secret is used without asking OM again.
const FRESH: Duration = Duration::from_secs(10);
/// Access ids that are remembered; the table is emptied when it is full of others.
const REMEMBERED_MAX: usize = 10_000;

/// Where secrets come from.
#[derive(Debug)]
pub(crate) struct Secrets {
    client: Client,
    known: Mutex<HashMap<String, (Option<String>, Instant)>>,
}

impl Secrets {
    pub(crate) fn new(client: Client) -> Secrets {
        Secrets { client, known: Mutex::default() }
    }

    /// The secret of `access_id`; `None` if there is no such id.
    pub(crate) async fn of(&self, access_id: &str) -> Result<Option<String>, Fault> {
        if let Some((secret, asked)) =
            self.known.lock().expect("nothing panics while it is held").get(access_id)
            && asked.elapsed() < FRESH
        {
            return Ok(secret.clone());
        }
        let secret = match self.client.s3_secret_of(access_id).await {
            Ok(secret) => Some(secret),
            Err(error) if error.om_status().is_some_and(is_unknown) => None,
            Err(error) => return Err(of_client(error)),
        };
        let mut known = self.known.lock().expect("nothing panics while it is held");
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(access_id.to_owned(), (secret.clone(), Instant::now()));
        Ok(secret)
    }
}

fn is_unknown(status: OmStatus) -> bool {
    matches!(status, OmStatus::AccessIdNotFound | OmStatus::S3SecretNotFound | OmStatus::InvalidAccessId)
}

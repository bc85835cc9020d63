//! Listings: volumes, buckets and keys, page by page behind the scenes, as streams or as plain lists.

use allotrope_types::BucketLayout;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::client::Client;
use crate::error::Error;
use crate::om::{Bucket, KeyListing, Volume};
use crate::path::BucketPath;

/// Volumes and buckets in one page of a listing.
const PAGE: u32 = 1000;

impl Client {
    /// Volumes whose names begin with `prefix` and stand behind `after`, in the order of their names: those that `user` may list,
    /// or all. Pages are fetched as the stream is read; after an error it ends.
    ///
    /// ```no_run
    /// # async fn example(client: allotrope_client::Client) -> Result<(), allotrope_client::Error> {
    /// use futures_util::TryStreamExt;
    ///
    /// let mut volumes = client.volumes(None, "photos", "");
    /// while let Some(volume) = volumes.try_next().await? {
    ///     println!("{} has {} buckets or more", volume.name, volume.used_namespace);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn volumes(
        &self,
        user: Option<&str>,
        prefix: &str,
        after: &str,
    ) -> BoxStream<'static, Result<Volume, Error>> {
        let (om, user, prefix) = (self.om().clone(), user.map(str::to_owned), prefix.to_owned());
        let pages = stream::try_unfold(after.to_owned(), move |after| {
            let (om, user, prefix) = (om.clone(), user.clone(), prefix.clone());
            async move {
                let page = om.list_volumes(user.as_deref(), &prefix, &after, PAGE).await?;
                // A server may start with the name it was given.
                Ok::<_, Error>(next_page(page, &after, |volume| &volume.name))
            }
        });
        pages.try_flatten().boxed()
    }

    /// As [`Client::volumes`], the first `count_max` of them at once.
    ///
    /// # Errors
    /// As any call to OM.
    pub async fn list_volumes(
        &self,
        user: Option<&str>,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Volume>, Error> {
        self.volumes(user, prefix, after).take(count_max).try_collect().await
    }

    /// Buckets of `volume` whose names begin with `prefix` and stand behind `after`, in the order of their names. Pages are fetched
    /// as the stream is read; after an error it ends.
    pub fn buckets(
        &self,
        volume: &str,
        prefix: &str,
        after: &str,
    ) -> BoxStream<'static, Result<Bucket, Error>> {
        let (om, volume, prefix) = (self.om().clone(), volume.to_owned(), prefix.to_owned());
        let pages = stream::try_unfold(after.to_owned(), move |after| {
            let (om, volume, prefix) = (om.clone(), volume.clone(), prefix.clone());
            async move {
                let page = om.list_buckets(&volume, &prefix, &after, PAGE as i32).await?;
                Ok::<_, Error>(next_page(page, &after, |bucket| &bucket.path.bucket))
            }
        });
        pages.try_flatten().boxed()
    }

    /// As [`Client::buckets`], the first `count_max` of them at once.
    ///
    /// # Errors
    /// As any call to OM.
    pub async fn list_buckets(
        &self,
        volume: &str,
        prefix: &str,
        after: &str,
        count_max: usize,
    ) -> Result<Vec<Bucket>, Error> {
        self.buckets(volume, prefix, after).take(count_max).try_collect().await
    }

    /// Keys of a bucket whose names begin with `prefix` and stand behind `after`, page by page.
    ///
    /// # Errors
    /// [`Error::Refused`] with `BUCKET_NOT_FOUND`; the listing's own calls fail as they come.
    pub async fn list_keys(
        &self,
        bucket: &BucketPath,
        prefix: &str,
        after: &str,
    ) -> Result<KeyListing, Error> {
        let layout: BucketLayout = self.bucket(bucket).await?.layout;
        Ok(KeyListing::new(self.clone(), bucket.clone(), layout, prefix.to_owned(), after.to_owned()))
    }
}

/// What is new on a page, as a stream, and the name it ends with; `None` when nothing is.
fn next_page<T>(
    page: Vec<T>,
    after: &str,
    name: impl Fn(&T) -> &str,
) -> Option<(BoxStream<'static, Result<T, Error>>, String)>
where
    T: Send + 'static,
{
    let fresh: Vec<T> = page.into_iter().filter(|entry| name(entry) > after).collect();
    let last = name(fresh.last()?).to_owned();
    Some((stream::iter(fresh.into_iter().map(Ok)).boxed(), last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_starts_with_what_was_seen_ends_the_listing() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<String>>();
        let (page, last) = next_page(names(&["b", "c", "d"]), "b", |name| name).unwrap();
        assert_eq!(last, "d");
        let page: Vec<String> = page.try_collect().await.unwrap();
        assert_eq!(page, ["c", "d"]);
        assert!(next_page(names(&["d"]), "d", |name| name).is_none());
        assert!(next_page(names(&[]), "", |name| name).is_none());
    }
}

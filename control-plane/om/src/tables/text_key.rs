//! Keys of OM's tables: Ozone's texts, one newtype a shape.
//!
//! Shape   `/`-separated text; a volume's and a bucket's name have no `/`, a key's name may. Object ids and sessions are
//!         written as signed decimals, as Java prints a long.
//! Law     a key is its text, so keys sort as their encodings do; `parts(of(x)) == x`.
//! Errors  text without the right number of parts is refused by the codec.
//! Source  docs/formats/om-tables.md.

use allotrope_consensus::{Codec, CodecError, KeyCodec};

/// What every key of these tables offers.
pub trait TextKey: Sized {
    /// What such a key looks like, for messages about damage.
    const SHAPE: &'static str;
    /// The text.
    fn as_str(&self) -> &str;
    /// The key of this text, if it has the shape.
    fn from_text(text: String) -> Option<Self>;
}

macro_rules! text_key {
    ($(#[$about:meta])* $name:ident, $shape:literal, $min_parts:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl TextKey for $name {
            const SHAPE: &'static str = $shape;
            fn as_str(&self) -> &str {
                &self.0
            }
            fn from_text(text: String) -> Option<Self> {
                let rest = text.strip_prefix('/')?;
                (rest.splitn($min_parts, '/').count() == $min_parts).then_some($name(text))
            }
        }

        impl Codec for $name {
            type Item = $name;
            fn encode(item: &$name, out: &mut Vec<u8>) {
                out.extend_from_slice(item.0.as_bytes());
            }
            fn decode(bytes: &[u8]) -> Result<$name, CodecError> {
                let text = std::str::from_utf8(bytes).map_err(|e| CodecError::new($shape, e.to_string()))?;
                $name::from_text(text.to_owned()).ok_or_else(|| CodecError::new($shape, text))
            }
        }
        impl KeyCodec for $name {}
    };
}

text_key!(
    /// Key of the volume table.
    VolumeKey, "/<volume>", 1
);
text_key!(
    /// Key of the bucket table.
    BucketKey, "/<volume>/<bucket>", 2
);
text_key!(
    /// Key of the key table.
    ObjectKey, "/<volume>/<bucket>/<key>", 3
);
text_key!(
    /// Key of the open key table.
    OpenKey, "/<volume>/<bucket>/<key>/<session>", 4
);
text_key!(
    /// Key of the table of deleted keys; the part before the object id is the key table's or the file table's key.
    DeletedKey, "/<volume>/<bucket>/<key>/<object id>", 4
);
text_key!(
    /// Key of the file and directory tables.
    NodeKey, "/<volume id>/<bucket id>/<parent id>/<name>", 4
);
text_key!(
    /// Key of the open file table.
    OpenNodeKey, "/<volume id>/<bucket id>/<parent id>/<name>/<session>", 5
);
text_key!(
    /// Key of the table of deleted directories.
    DeletedNodeKey, "/<volume id>/<bucket id>/<parent id>/<name>/<object id>", 5
);
text_key!(
    /// Key of the multipart upload table.
    UploadKey, "/<volume>/<bucket>/<key>/<upload id>", 4
);

/// An id as Java prints it: the 64 bits as a signed number.
fn signed(id: u64) -> i64 {
    id.cast_signed()
}

impl VolumeKey {
    /// The key of `volume`.
    pub fn of(volume: &str) -> VolumeKey {
        VolumeKey(format!("/{volume}"))
    }
    /// The volume's name.
    pub fn volume(&self) -> &str {
        &self.0[1..]
    }
    /// What the keys of volumes whose names begin with `prefix` begin with.
    pub fn prefix(prefix: &str) -> Vec<u8> {
        format!("/{prefix}").into_bytes()
    }
}

impl BucketKey {
    /// The key of `bucket` in `volume`.
    pub fn of(volume: &str, bucket: &str) -> BucketKey {
        BucketKey(format!("/{volume}/{bucket}"))
    }
    /// What the keys of the buckets of `volume` whose names begin with `prefix` begin with.
    pub fn prefix(volume: &str, prefix: &str) -> Vec<u8> {
        format!("/{volume}/{prefix}").into_bytes()
    }
    /// The volume's and the bucket's name.
    pub fn parts(&self) -> (&str, &str) {
        self.0[1..].split_once('/').expect("a bucket's key has two parts")
    }
}

impl ObjectKey {
    /// The key of the object `key`.
    pub fn of(volume: &str, bucket: &str, key: &str) -> ObjectKey {
        ObjectKey(format!("/{volume}/{bucket}/{key}"))
    }
    /// What the keys of the objects whose names begin with `prefix` begin with.
    pub fn prefix(volume: &str, bucket: &str, prefix: &str) -> Vec<u8> {
        format!("/{volume}/{bucket}/{prefix}").into_bytes()
    }
    /// The names of volume, bucket and key.
    pub fn parts(&self) -> (&str, &str, &str) {
        let mut parts = self.0[1..].splitn(3, '/');
        let mut next = || parts.next().expect("an object's key has three parts");
        (next(), next(), next())
    }
}

impl OpenKey {
    /// The key of the session `session` of the object at `object`.
    pub fn of(object: &ObjectKey, session: u64) -> OpenKey {
        OpenKey(format!("{}/{}", object.0, signed(session)))
    }
    /// The key of the open row of a multipart upload.
    pub fn of_upload(object: &ObjectKey, upload: &str) -> OpenKey {
        OpenKey(format!("{}/{upload}", object.0))
    }
    /// What the keys of all sessions of `volume`/`bucket` begin with.
    pub fn bucket_prefix(volume: &str, bucket: &str) -> Vec<u8> {
        format!("/{volume}/{bucket}/").into_bytes()
    }
}

impl DeletedKey {
    /// The key under which the object of `object_id`, once at `at`, awaits deletion.
    pub fn of(at: &impl TextKey, object_id: u64) -> DeletedKey {
        DeletedKey(format!("{}/{}", at.as_str(), signed(object_id)))
    }
}

impl NodeKey {
    /// The key of the file or directory `name` in the directory `parent_id`.
    pub fn of(volume_id: u64, bucket_id: u64, parent_id: u64, name: &str) -> NodeKey {
        NodeKey(format!("/{}/{}/{}/{name}", signed(volume_id), signed(bucket_id), signed(parent_id)))
    }
    /// What the keys of the children of `parent_id` whose names begin with `prefix` begin with.
    pub fn children(volume_id: u64, bucket_id: u64, parent_id: u64, prefix: &str) -> Vec<u8> {
        format!("/{}/{}/{}/{prefix}", signed(volume_id), signed(bucket_id), signed(parent_id)).into_bytes()
    }
    /// What the keys of everything in a bucket begin with.
    pub fn bucket_prefix(volume_id: u64, bucket_id: u64) -> Vec<u8> {
        format!("/{}/{}/", signed(volume_id), signed(bucket_id)).into_bytes()
    }
    /// The name of the file or directory.
    pub fn name(&self) -> &str {
        self.0[1..].splitn(4, '/').nth(3).expect("a node's key has four parts")
    }
}

impl OpenNodeKey {
    /// The key of the session `session` of the file at `node`.
    pub fn of(node: &NodeKey, session: u64) -> OpenNodeKey {
        OpenNodeKey(format!("{}/{}", node.0, signed(session)))
    }
    /// The key of the open row of a multipart upload.
    pub fn of_upload(node: &NodeKey, upload: &str) -> OpenNodeKey {
        OpenNodeKey(format!("{}/{upload}", node.0))
    }
}

impl DeletedNodeKey {
    /// The key under which the directory of `object_id`, once at `node`, awaits deletion.
    pub fn of(node: &NodeKey, object_id: u64) -> DeletedNodeKey {
        DeletedNodeKey(format!("{}/{}", node.0, signed(object_id)))
    }
}

impl UploadKey {
    /// The key of the upload `upload` of the object `key`.
    pub fn of(volume: &str, bucket: &str, key: &str, upload: &str) -> UploadKey {
        UploadKey(format!("/{volume}/{bucket}/{key}/{upload}"))
    }
    /// What the keys of the uploads of objects whose names begin with `prefix` begin with.
    pub fn prefix(volume: &str, bucket: &str, prefix: &str) -> Vec<u8> {
        format!("/{volume}/{bucket}/{prefix}").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> &'static str {
        "[a-z0-9.-]{1,8}"
    }

    fn comes_back_in_order<K: KeyCodec<Item = K> + TextKey + Ord + std::fmt::Debug>(a: K, b: K) {
        assert_eq!(K::decode(&K::to_bytes(&a)).unwrap(), a);
        assert_eq!(K::to_bytes(&a).cmp(&K::to_bytes(&b)), a.cmp(&b));
    }

    proptest! {
        #[test]
        fn keys_come_back_and_sort_as_their_bytes(
            v in name(), w in name(), b in name(), c in name(), k in ".{1,12}", l in "[a-c/]{1,6}", id: u64, other: u64,
        ) {
            comes_back_in_order(VolumeKey::of(&v), VolumeKey::of(&w));
            comes_back_in_order(BucketKey::of(&v, &b), BucketKey::of(&w, &c));
            let (one, two) = (ObjectKey::of(&v, &b, &k), ObjectKey::of(&v, &b, &l));
            comes_back_in_order(one.clone(), two.clone());
            comes_back_in_order(OpenKey::of(&one, id), OpenKey::of(&two, other));
            comes_back_in_order(DeletedKey::of(&one, id), DeletedKey::of(&two, other));
            let (one, two) = (NodeKey::of(id, other, id, &v), NodeKey::of(id, other, other, &w));
            comes_back_in_order(one.clone(), two.clone());
            comes_back_in_order(OpenNodeKey::of(&one, id), OpenNodeKey::of(&two, other));
            comes_back_in_order(DeletedNodeKey::of(&one, id), DeletedNodeKey::of(&two, other));
            comes_back_in_order(UploadKey::of(&v, &b, &k, &w), UploadKey::of(&v, &b, &l, &w));
        }

        #[test]
        fn a_key_gives_its_parts_back(v in name(), b in name(), k in ".{1,12}") {
            let (volume, bucket) = (VolumeKey::of(&v), BucketKey::of(&v, &b));
            let (object, node) = (ObjectKey::of(&v, &b, &k), NodeKey::of(1, 2, 3, &v));
            prop_assert_eq!(volume.volume(), &v);
            prop_assert_eq!(bucket.parts(), (v.as_str(), b.as_str()));
            prop_assert_eq!(object.parts(), (v.as_str(), b.as_str(), k.as_str()));
            prop_assert_eq!(node.name(), &v);
        }
    }

    #[test]
    fn ids_are_written_as_java_prints_a_long() {
        let id = 2u64 << 62 | 1 << 8;
        assert_eq!(NodeKey::of(id, 7, 7, "a").as_str(), "/-9223372036854775552/7/7/a");
        assert_eq!(OpenKey::of(&ObjectKey::of("v", "b", "k/"), 5).as_str(), "/v/b/k//5");
    }

    #[test]
    fn text_without_its_parts_is_damage() {
        assert!(VolumeKey::decode(b"v").is_err());
        assert!(BucketKey::decode(b"/v").is_err());
        assert!(ObjectKey::decode(b"/v/b").is_err());
        assert!(NodeKey::decode(b"/1/2/3").is_err());
        assert!(ObjectKey::decode(&[b'/', 0xff]).is_err());
    }
}

//! Secret keys' names.

crate::uuid_id::uuid_id! {
    /// The name of a symmetric key that signs block, container or delegation tokens. SCM draws it with the key.
    SecretKeyId, "secret key id"
}

//! Filling the five checksum fields that many of s3s' outputs have.

/// Sets the field of `$checksum`'s kind in `$output`, and its type.
macro_rules! show_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = &$checksum {
            use $crate::intake::checksum::Algorithm;
            let text = Some(checksum.text.clone());
            match checksum.algorithm {
                Algorithm::Crc32 => $output.checksum_crc32 = text,
                Algorithm::Crc32c => $output.checksum_crc32c = text,
                Algorithm::Crc64Nvme => $output.checksum_crc64nvme = text,
                Algorithm::Sha1 => $output.checksum_sha1 = text,
                Algorithm::Sha256 => $output.checksum_sha256 = text,
            }
            let kind = if checksum.composite { "COMPOSITE" } else { "FULL_OBJECT" };
            $output.checksum_type = Some(s3s::dto::ChecksumType::from_static(kind));
        }
    };
}

/// The same for a part, whose checksum is always of its bytes.
macro_rules! show_part_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = &$checksum {
            use $crate::intake::checksum::Algorithm;
            let text = Some(checksum.text());
            match checksum.algorithm {
                Algorithm::Crc32 => $output.checksum_crc32 = text,
                Algorithm::Crc32c => $output.checksum_crc32c = text,
                Algorithm::Crc64Nvme => $output.checksum_crc64nvme = text,
                Algorithm::Sha1 => $output.checksum_sha1 = text,
                Algorithm::Sha256 => $output.checksum_sha256 = text,
            }
        }
    };
}

//! How a bucket keeps its keys.

use crate::codes::codes;

codes! {
    /// How a bucket keeps its keys. Absent in a stored bucket it means LEGACY, absent in a request the server's
    /// default.
    BucketLayout {
        Legacy = 1, "LEGACY";
        FileSystemOptimized = 2, "FILE_SYSTEM_OPTIMIZED";
        ObjectStore = 3, "OBJECT_STORE";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_keep_the_wires_numbers() {
        for layout in BucketLayout::ALL {
            assert_eq!(BucketLayout::from_number(layout.number()), Some(*layout));
            assert_eq!(BucketLayout::from_name(layout.name()), Some(*layout));
        }
        assert_eq!(BucketLayout::from_number(0), None);
    }
}

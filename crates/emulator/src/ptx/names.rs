//! How types and spaces are written.

use std::fmt;

use super::{Space, Type};

impl Type {
    /// Every type.
    pub const ALL: [Type; 25] = [
        Type::B8,
        Type::B16,
        Type::B32,
        Type::B64,
        Type::B128,
        Type::U8,
        Type::U16,
        Type::U32,
        Type::U64,
        Type::S8,
        Type::S16,
        Type::S32,
        Type::S64,
        Type::F16,
        Type::F16x2,
        Type::BF16,
        Type::BF16x2,
        Type::TF32,
        Type::F32,
        Type::F64,
        Type::E4M3,
        Type::E5M2,
        Type::E4M3x2,
        Type::E5M2x2,
        Type::Pred,
    ];

    /// The type that a word of an opcode or of a declaration names, without its dot.
    ///
    /// ```
    /// use yuragi_emulator::ptx::Type;
    /// assert_eq!(Type::parse("bf16x2"), Some(Type::BF16x2));
    /// assert_eq!(Type::parse("v4"), None);
    /// ```
    pub fn parse(word: &str) -> Option<Type> {
        Type::ALL.into_iter().find(|of| of.name() == word)
    }

    /// Its word, without the dot.
    pub const fn name(self) -> &'static str {
        match self {
            Type::B8 => "b8",
            Type::B16 => "b16",
            Type::B32 => "b32",
            Type::B64 => "b64",
            Type::B128 => "b128",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::S8 => "s8",
            Type::S16 => "s16",
            Type::S32 => "s32",
            Type::S64 => "s64",
            Type::F16 => "f16",
            Type::F16x2 => "f16x2",
            Type::BF16 => "bf16",
            Type::BF16x2 => "bf16x2",
            Type::TF32 => "tf32",
            Type::F32 => "f32",
            Type::F64 => "f64",
            Type::E4M3 => "e4m3",
            Type::E5M2 => "e5m2",
            Type::E4M3x2 => "e4m3x2",
            Type::E5M2x2 => "e5m2x2",
            Type::Pred => "pred",
        }
    }

    /// The bytes of an element in memory; 1 for a predicate, which memory never holds.
    pub const fn bytes(self) -> u64 {
        match self {
            Type::B8 | Type::U8 | Type::S8 | Type::E4M3 | Type::E5M2 | Type::Pred => 1,
            Type::B16 | Type::U16 | Type::S16 | Type::F16 | Type::BF16 | Type::E4M3x2 | Type::E5M2x2 => 2,
            Type::B32 | Type::U32 | Type::S32 | Type::F16x2 | Type::BF16x2 | Type::TF32 | Type::F32 => 4,
            Type::B64 | Type::U64 | Type::S64 | Type::F64 => 8,
            Type::B128 => 16,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Space {
    /// The space that a word names, without its dot, with its window (`shared::cluster`) or without.
    ///
    /// ```
    /// use yuragi_emulator::ptx::Space;
    /// assert_eq!(Space::parse("shared::cta"), Some(Space::Shared));
    /// assert_eq!(Space::parse("u32"), None);
    /// ```
    pub fn parse(word: &str) -> Option<Space> {
        let (space, window) = word.split_once("::").map_or((word, None), |(space, window)| (space, Some(window)));
        match (space, window) {
            ("global", None) => Some(Space::Global),
            ("shared", None | Some("cta")) => Some(Space::Shared),
            ("shared", Some("cluster")) => Some(Space::Cluster),
            ("local", None) => Some(Space::Local),
            ("const", None) => Some(Space::Constant),
            ("param", None | Some("entry" | "func")) => Some(Space::Param),
            _ => None,
        }
    }

    /// Its word, without the dot; `generic` where none is written.
    pub const fn name(self) -> &'static str {
        match self {
            Space::Global => "global",
            Space::Shared => "shared",
            Space::Cluster => "shared::cluster",
            Space::Local => "local",
            Space::Constant => "const",
            Space::Param => "param",
            Space::Generic => "generic",
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

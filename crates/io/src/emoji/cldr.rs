use std::collections::BTreeMap;
use std::path::Path;

use roxmltree::{Document, ParsingOptions};

use crate::dataset::DatasetError;
use crate::sequence::VS16;

/// What CLDR says of a sequence in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Annotation {
    pub name: Option<String>,
    pub keywords: Vec<String>,
}

/// Annotations by sequence, without VS16.
pub(super) type Annotations = BTreeMap<String, Annotation>;

/// Reads the annotations of one language, plain and derived, under CLDR's `common` folder.
pub(super) fn read(common: &Path, language: &str) -> Result<Annotations, DatasetError> {
    let mut annotations = Annotations::new();
    for part in ["annotations", "annotationsDerived"] {
        let path = common.join(part).join(language).with_extension("xml");
        let hint = Some("the package unicode-cldr-core brings /usr/share/unicode/cldr/common");
        let text =
            std::fs::read_to_string(&path).map_err(|source| DatasetError::Read { path: path.clone(), source, hint })?;
        parse(&text, &mut annotations).map_err(|error| DatasetError::Format { path, reason: error.to_string() })?;
    }
    Ok(annotations)
}

fn parse(xml: &str, into: &mut Annotations) -> Result<(), roxmltree::Error> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(xml, options)?;
    for node in document.descendants().filter(|node| node.has_tag_name("annotation")) {
        // Three arrows mean "as the parent language", which has nothing.
        let (Some(sequence), Some(text)) = (node.attribute("cp"), node.text().filter(|text| *text != "↑↑↑"))
        else {
            continue;
        };
        let entry = into.entry(sequence.replace(VS16, "")).or_default();
        if node.attribute("type") == Some("tts") {
            entry.name = Some(text.trim().to_owned()).filter(|name| !name.is_empty());
        } else {
            entry.keywords =
                text.split('|').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8" ?>
<!DOCTYPE ldml SYSTEM "../../common/dtd/ldml.dtd">
<ldml><annotations>
    <annotation cp="😀">face | grin |  | grinning face </annotation>
    <annotation cp="😀" type="tts"> grinning face</annotation>
    <annotation cp="❤️" type="tts">red heart</annotation>
    <annotation cp="☃" type="tts">↑↑↑</annotation>
</annotations></ldml>"#;

    #[test]
    fn names_and_keywords_are_told_apart() {
        let mut annotations = Annotations::new();
        parse(SAMPLE, &mut annotations).unwrap();
        assert_eq!(annotations["😀"].name.as_deref(), Some("grinning face"));
        assert_eq!(annotations["😀"].keywords, ["face", "grin", "grinning face"]);
        assert_eq!(annotations["\u{2764}"].name.as_deref(), Some("red heart"));
        assert_eq!(annotations.len(), 2);
    }

    #[test]
    fn a_missing_folder_names_the_package_and_a_broken_file_the_path() {
        let scratch = crate::testing::Scratch::new();
        let error = read(&scratch, "en").unwrap_err().to_string();
        assert!(error.contains("annotations/en.xml") && error.contains("unicode-cldr-core"), "{error}");
        std::fs::create_dir(scratch.join("annotations")).unwrap();
        std::fs::write(scratch.join("annotations/en.xml"), "<ldml><broken").unwrap();
        let error = read(&scratch, "en").unwrap_err().to_string();
        assert!(error.contains("annotations/en.xml: "), "{error}");
    }
}

//! Programs in the ``` fences of a text document.

use std::path::Path;

use crate::project::LoadError;

/// The chosen program of a document.
pub(crate) fn program(path: &Path, text: &str, block: Option<usize>) -> Result<String, LoadError> {
    let blocks: Vec<String> = fenced_blocks(text)
        .into_iter()
        .filter(|block| block.contains("sys.run()"))
        .collect();
    if blocks.is_empty() {
        return Err(LoadError::NoProgram {
            path: path.to_owned(),
        });
    }
    let wanted = block.unwrap_or(1);
    blocks
        .get(wanted.wrapping_sub(1))
        .cloned()
        .ok_or_else(|| LoadError::NoSuchBlock {
            path: path.to_owned(),
            block: wanted,
            count: blocks.len(),
        })
}

/// The contents of the ``` fences of a text.
fn fenced_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            match current.take() {
                Some(block) => blocks.push(block),
                None => current = Some(String::new()),
            }
        } else if let Some(block) = &mut current {
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "text\n```lua\nprint(1)\n```\n```lua\nsys.run() -- one\n```\n  ```\nsys.run() -- two\n  ```\n";

    #[test]
    fn the_block_with_the_number_is_taken() {
        let path = Path::new("x.txt");
        assert_eq!(program(path, DOCUMENT, None).unwrap(), "sys.run() -- one\n");
        assert_eq!(
            program(path, DOCUMENT, Some(2)).unwrap(),
            "sys.run() -- two\n"
        );
        let error = program(path, DOCUMENT, Some(3)).unwrap_err().to_string();
        assert!(error.contains("1 to 2"), "{error}");
        assert!(program(path, DOCUMENT, Some(0)).is_err());
    }

    #[test]
    fn a_document_without_a_program_is_refused() {
        let error = program(Path::new("x.txt"), "no code", None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("sys.run()"), "{error}");
    }
}

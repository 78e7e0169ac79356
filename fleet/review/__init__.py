"""What a reviewer of a pull request has to know: both sides read, compared, judged, and told in Markdown."""

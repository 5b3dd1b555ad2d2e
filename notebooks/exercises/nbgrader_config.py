"""What nbgrader has to know of this course; see docs/course.md, Grading."""

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "pydock-lab"
# Stands where the learner's lines belong. nbgrader's own stub, `raise NotImplementedError()`, is Python, and the
# cell may be a Dockerfile.
c.ClearSolutions.code_stub = {"python": "# your lines here"}
# Cells wait for containers; the longest of them for ten seconds.
c.ExecutePreprocessor.timeout = 120

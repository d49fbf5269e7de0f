"""JUnit XML: a suite for each student, a test case for each exercise; CI servers and editors show it."""

import xml.etree.ElementTree as ET

from tplearn.grading.results import NOT_GRADED, Report


def junit(report: Report) -> str:
    """The report as JUnit XML. A wrong answer is a failure; where the grader failed it is an error."""
    counts = {"tests": 0, "failures": 0, "errors": 0}
    top = ET.Element("testsuites", name=report.title if report.jail else report.boundary)
    for one in sorted(report.students, key=lambda one: one.earned is not None):  # not graded first
        suite = ET.SubElement(top, "testsuite", name=one.student)
        properties = ET.SubElement(suite, "properties")
        for name, value in (("boundary", report.boundary), ("score", one.score)):
            ET.SubElement(properties, "property", name=name, value=value)
        failed = [mark.status == NOT_GRADED for mark in one.marks]
        numbers = {
            "tests": len(one.marks),
            "failures": sum(not mark.passed for mark in one.marks) - sum(failed),
            "errors": sum(failed),
        }
        for name, count in numbers.items():
            suite.set(name, str(count))
            counts[name] += count
        for mark in one.marks:
            case = ET.SubElement(suite, "testcase", classname=one.student, name=mark.title)
            if not mark.passed:
                kind = "error" if mark.status == NOT_GRADED else "failure"
                ET.SubElement(case, kind, type=mark.status, message=mark.reason or mark.status).text = mark.says()
    for name, count in counts.items():
        top.set(name, str(count))
    ET.indent(top)
    return ET.tostring(top, encoding="unicode", xml_declaration=True).replace("'utf-8'", "'UTF-8'", 1) + "\n"

"""How a model does at hospitals that it never saw: each site in turn is left out of a training and then scored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule

from leanseg.data.folder import open_dataset
from leanseg.errors import LeansegError, UsageError
from leanseg.workflows.config import write_config
from leanseg.workflows.evaluation import Evaluation
from leanseg.workflows.score_files import write_scores
from leanseg.workflows.score_tables import terminal_sites
from leanseg.workflows.site_cost import site_costs, terminal_site_costs, write_site_costs
from leanseg.workflows.summary import by_site, compare_first_two, summarise

if TYPE_CHECKING:
    from leanseg.workflows.train import Train

CONFIG = "config.json"


def leave_sites_out(options: Train) -> Evaluation:
    """Train once for each site, into OUT/without-SITE; scores.csv and scores.json of OUT hold each one unseen.

    OUT/sites.csv sets beside it what models that knew the site score on the same images.

    A run that is there already is gone on with, and one that is finished only read.

    Args:
        options: of each training; a site of their own is left out.

    Raises:
        UsageError: fewer than two sites, or options that do not go together with this.
    """
    if options.leave_out is not None or options.folds > 1 or options.refit:
        raise UsageError("--leave-one-site-out makes its own trainings; leave out --leave-out, --folds and --refit")
    dataset, console = open_dataset(options.data), Console()
    sites = sorted({case.site for case in dataset.cases})
    if len(sites) < 2 or "" in sites:
        found = f"found {', '.join(site or 'images without a site' for site in sites)}"
        raise UsageError(f"--leave-one-site-out needs at least two sites in the column 'site' of splits.csv; {found}")
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        write_config(options, options.out)
    results, rows, own = [], [], {}
    for site, folder in zip(sites, _folders(sites), strict=True):
        console.print(Rule(f"without {escape(site)}"))
        out = options.out / folder
        begun = (out / CONFIG).is_file()
        try:
            result = replace(options, leave_one_site_out=False, leave_out=site, out=out, resume=begun).run()
        except LeansegError:
            if not (options.resume or any((options.out / name).exists() for name in _folders(sites))):
                # Nothing has begun: the record of wrong options would be in the way of right ones.
                (options.out / CONFIG).unlink()
            raise
        results.append(result)
        # Each training names its model after its own folder.
        names = {folder: options.out.resolve().name}
        rows += [replace(row, model=names.get(row.model, row.model)) for row in result.rows if row.site == site]
        own[site] = [row for row in result.rows if row.model == folder]
    result = Evaluation(
        rows=tuple(rows),
        summaries=tuple(summarise(rows)),
        comparisons=tuple(compare_first_two(rows)),
        failed=tuple(failed for one in results for failed in one.failed),
        worst=(),
        best=(),
    )
    facts = {"Data": dataset.name or dataset.root.name, "Split": "each site by a model that never saw it"}
    write_scores(result, options.out, facts=facts)
    console.print(Rule("each site by a model that never saw it"), terminal_sites(by_site(rows)))
    if costs := site_costs(own):
        write_site_costs(costs, options.out / "sites.csv")
        console.print(Rule("the same images where the site was known"), terminal_site_costs(costs))
    return result


def _folders(sites: Sequence[str]) -> list[str]:
    """Of names that any file system takes.

    Example:
        >>> _folders(["Utrecht", "St. Mary/A"])
        ['without-Utrecht', 'without-St.-Mary-A']
    """
    names = [f"without-{re.sub(r'[^A-Za-z0-9._-]+', '-', site)}" for site in sites]
    if len(set(names)) < len(names):
        raise UsageError(f"the names of the sites differ only in special characters: {', '.join(sites)}; rename one")
    return names

"""The GitHub Action's door: what the steps of `action.yml` run, from the action's own path.

`run` decides (or acts) and says what came of it in outputs, `advise` says what
a pull request's own manifest would make of it, `publish` tells people. Only
`run` has a say in the verdict, and only an explicit yes of it lets a step pass.
"""

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"webjob.dev/webjob/internal/cli"
	"webjob.dev/webjob/internal/operator"
	"webjob.dev/webjob/recipes"
)

func recipeCommand(open openHome) *cobra.Command {
	c := &cobra.Command{Use: "recipe", Short: "Ready-made jobs: list, show, copy, publish"}
	c.AddCommand(recipeListCommand(), recipeShowCommand(), recipeCopyCommand(), recipePublishCommand(open))
	return c
}

// recipe is a line of the list.
type recipe struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Platforms   []string `json:"platforms"`
}

func recipeListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the recipes", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []recipe
			for _, name := range recipes.Names() {
				err := withRecipe(name, func(dir string) error {
					d, err := operator.ReadDescription(dir)
					if err != nil {
						return err
					}
					r := recipe{Name: name, Description: d.Text}
					for _, p := range d.Payloads {
						r.Platforms = append(r.Platforms, string(p.Platform))
					}
					list = append(list, r)
					return nil
				})
				if err != nil {
					return fmt.Errorf("recipe list: %w", err)
				}
			}
			return cli.List(c, list, []cli.Column[recipe]{
				{Title: "NAME", Cell: func(r recipe) string { return r.Name }},
				{Title: "PLATFORM", Cell: func(r recipe) string { return strings.Join(r.Platforms, " ") }},
				{Title: "DESCRIPTION", Cell: func(r recipe) string { return r.Description }},
			})
		},
	}
}

// withRecipe calls use with a copy of a recipe, which is removed after.
func withRecipe(name string, use func(dir string) error) error {
	parent, err := os.MkdirTemp("", "webjob-recipe-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(parent) }() // only a copy
	dir := filepath.Join(parent, "job")
	if err := recipes.Copy(name, dir); err != nil {
		return err
	}
	return use(dir)
}

func recipeShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show what a recipe is for and how to use it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := recipes.Readme(args[0])
			if err != nil {
				return fmt.Errorf("recipe show: %w", err)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), text)
			return err
		},
	}
}

func recipeCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "copy NAME DIR", Short: "Copy a recipe to a new folder, to change it", Args: cobra.ExactArgs(2),
		Example: `  webjobctl recipe copy update-rules my-rules
  webjobctl job publish my-rules`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := recipes.Copy(args[0], args[1]); err != nil {
				return fmt.Errorf("recipe copy: %w", err)
			}
			return cli.Show(c, map[string]string{"folder": args[1]}, []cli.Field{
				{Name: "Copied to:", Value: args[1]}, {Name: "Publish it:", Value: "webjobctl job publish " + args[1]},
			})
		},
	}
}

func recipePublishCommand(open openHome) *cobra.Command {
	f := &publishFlags{}
	c := &cobra.Command{
		Use: "publish NAME", Short: "Sign a recipe and publish it as a job", Args: cobra.ExactArgs(1),
		Example: `  webjobctl recipe publish harvest-diagnostics
  webjobctl order new harvest-diagnostics --on id=web1 --watch`,
		RunE: func(c *cobra.Command, args []string) error {
			err := withRecipe(args[0], func(dir string) error { return publishAndTell(c, open, f, dir) })
			if err != nil {
				return fmt.Errorf("recipe publish: %w", err)
			}
			return nil
		},
	}
	f.add(c)
	return c
}

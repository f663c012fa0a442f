// What axe, which is in the page already, finds against WCAG 2.2 A and AA, in one line each. An expression.
axe
  .run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
  .then(({ violations }) =>
    violations.flatMap(({ id, impact, help, nodes }) =>
      nodes.map(({ target, any, all, none }) => {
        const why = [...any, ...all, ...none].map(({ message }) => message).join('; ');
        return `${impact} ${id} (${help}) at ${target.join(' ')}: ${why}`;
      }),
    ),
  )

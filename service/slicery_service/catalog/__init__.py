"""The web catalog: pages for people under `/`, made on the server, readable without JavaScript.

    page.py       templates, the headers that every page has, problems as pages
    viewers.py    who looks: sessions, scopes, forms with their tokens
    assets.py     style sheets, scripts and pictures, under a path that names their content
    listing.py    / : the list, with search, filters, order and pages
    dataset.py    /datasets/{id} : one dataset, its pictures and actions; panels/ shows what is in it
    register.py   /register : browse the sources (browse.py), look, register one or many
    lab.py        /datasets/{id}/slices : the slice lab; lab_form.py its form, lab_view.py what it shows, snippets.py
                  what to run; download.py one slice as a file
    jobs.py, keys.py, sources.py, login.py    /jobs, /keys, /sources, /login
    live.py       server-sent events for all of these

HTTP and HTML only: what is decided and asked of the database stands in the modules that the API uses as well.
"""

const show = () => {
  const plan = document.getElementById("plan").value;
  window.ui = SwaggerUIBundle({
    url: plan ? `/openapi.json?plan=${plan}` : "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    persistAuthorization: false,
    validatorUrl: null,
  });
};
window.onload = () => {
  document.getElementById("plan").addEventListener("change", show);
  show();
};
